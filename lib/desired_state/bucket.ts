import { ErrorCode, NatsError, StorageType, type KV, type NatsConnection } from 'nats';
import { codeOf, messageOf } from '../errors.js';
import type { Log } from '../log.js';
import { DESIRED_STATE_BUCKET } from '../subjects.js';

const HISTORY = 5;
/** A change is some hundred bytes. */
const MAX_BYTES = 8 << 20;
const REQUEST_TIMEOUT_MS = 3_000;
/** "wrong last sequence": somebody else has written since. */
const WRONG_REVISION = 10_071;

/** The bucket as one server has it; a restarted server without its files has another one. */
export interface Bucket {
  kv: KV;
  /** When it was made: tells buckets of one name apart. */
  created: string;
}

/** Binds to the bucket, or makes it: in a file, or in memory where there is no room for files. */
export async function openBucket(nats: NatsConnection, log: Log): Promise<Bucket> {
  const { kv, storage, created } = await makeBucket(nats, StorageType.File).catch((error: unknown) => {
    if (!isRefused(error)) throw error;
    return makeBucket(nats, StorageType.Memory).catch(() => {
      throw error;
    });
  });
  if (storage === StorageType.Memory) {
    log.warn(
      { bucket: DESIRED_STATE_BUCKET },
      'NATS keeps what is changed while running in memory only: when NATS and all services end, it is forgotten',
    );
  }
  return { kv, created };
}

async function makeBucket(nats: NatsConnection, storage: StorageType): Promise<Bucket & { storage: StorageType }> {
  const kv = await nats.jetstream({ timeout: REQUEST_TIMEOUT_MS }).views.kv(DESIRED_STATE_BUCKET, {
    description: 'framebus: what was changed while running',
    storage,
    history: HISTORY,
    replicas: 1,
    // With a limit, a server without room says so now instead of with the first change.
    max_bytes: MAX_BYTES,
    // What is read must be what was written last.
    allow_direct: false,
  });
  const { streamInfo } = await kv.status();
  return { kv, created: streamInfo.created, storage: streamInfo.config.storage };
}

const apiError = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined);

/** Somebody else has written since. */
export const isConflict = (error: unknown): boolean => apiError(error) === WRONG_REVISION;

/** The server has answered, and says no. */
const isRefused = (error: unknown): boolean => apiError(error) !== undefined;

/** Nobody listens where the bucket's stream should. */
export const isBucketGone = (error: unknown): boolean =>
  codeOf(error) === ErrorCode.NoResponders || messageOf(error) === 'stream not found';
