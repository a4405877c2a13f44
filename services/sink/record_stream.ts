import {
  DiscardPolicy,
  ErrorCode,
  nanos,
  NatsError,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type NatsConnection,
  type StreamConfig,
  type StreamInfo,
} from 'nats';
import type { RecordsConfig } from '../../lib/config.js';
import { codeOf } from '../../lib/errors.js';
import { decodeRecord } from '../../lib/messages.js';
import { ALL_DETECTIONS, RECORD_STREAM } from '../../lib/subjects.js';
import type { Epoch } from '#proto/framebus/frame/v1/frame.js';
import { storeIdentity } from './record_cursor.js';

/** A record that is sent again within this is known by its id. */
const DUPLICATE_WINDOW_MS = 120_000;
const REQUEST_TIMEOUT_MS = 3_000;

/** What the stream has, as the server says. */
export interface RecordStreamState {
  /** See `storeIdentity`. */
  store: string;
  /** Position of the oldest record that is kept; one above `last` when there is none. */
  first: number;
  /** Position of the newest record, kept or not; 0: there was none yet. */
  last: number;
}

/** Which frame of a stream was stored last. */
export interface LastRecord {
  epoch: Epoch | undefined;
  seq: bigint;
}

export const recordStreamManager = (nats: NatsConnection): Promise<JetStreamManager> =>
  nats.jetstreamManager({ checkAPI: false, timeout: REQUEST_TIMEOUT_MS });

/** Makes the stream of records, or brings it to the limits of the configuration; what is in it stays. */
export async function openRecordStream(nats: NatsConnection, limits: RecordsConfig): Promise<RecordStreamState> {
  const manager = await recordStreamManager(nats);
  const config = streamConfig(limits);
  try {
    return stateOf(await manager.streams.add(config));
  } catch (error) {
    if (apiError(error) !== STREAM_NAME_IN_USE) throw error;
    return stateOf(await manager.streams.update(config.name, config));
  }
}

/** Deletes what was stored, and the stream. */
export async function removeRecordStream(nats: NatsConnection): Promise<void> {
  const manager = await recordStreamManager(nats);
  await manager.streams.delete(RECORD_STREAM);
}

/** What the stream has now. */
export async function recordStreamState(nats: NatsConnection): Promise<RecordStreamState> {
  const manager = await recordStreamManager(nats);
  return stateOf(await manager.streams.info(RECORD_STREAM));
}

/** The newest record of every subject: what a restarted sink must not store again. */
export async function lastRecords(nats: NatsConnection): Promise<Map<string, LastRecord>> {
  const manager = await recordStreamManager(nats);
  const { state } = await manager.streams.info(RECORD_STREAM, { subjects_filter: ALL_DETECTIONS });
  const last = new Map<string, LastRecord>();
  for (const subject of Object.keys(state.subjects ?? {})) {
    try {
      const { data } = await manager.streams.getMessage(RECORD_STREAM, { last_by_subj: subject });
      const { streamId, epoch, seq } = decodeRecord(data);
      last.set(streamId, { epoch, seq });
    } catch (error) {
      // It has expired since, or it is of another version: then there is nothing to compare with.
      if (error instanceof NatsError && error.api_error === undefined) throw error;
    }
  }
  return last;
}

function streamConfig({ maxAgeMs, maxBytes }: RecordsConfig): Partial<StreamConfig> & { name: string } {
  return {
    name: RECORD_STREAM,
    description: 'framebus: final records, for clients that go on where they were',
    subjects: [ALL_DETECTIONS],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_age: nanos(maxAgeMs),
    max_bytes: maxBytes,
    // The server refuses one that is longer than max_age.
    duplicate_window: nanos(maxAgeMs === 0 ? DUPLICATE_WINDOW_MS : Math.min(DUPLICATE_WINDOW_MS, maxAgeMs)),
    num_replicas: 1,
  };
}

function stateOf({ created, state }: StreamInfo): RecordStreamState {
  const last = state.last_seq;
  return { store: storeIdentity(created), first: state.messages === 0 ? last + 1 : state.first_seq, last };
}

/** "stream name already in use with a different configuration". */
const STREAM_NAME_IN_USE = 10_058;

const apiError = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined);

/** The server has answered, and will say the same again: it has no JetStream, or no room. */
export const isRefusal = (error: unknown): boolean => apiError(error) !== undefined || codeOf(error) === ErrorCode.NoResponders;
