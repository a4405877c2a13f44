import { FramebusError, messageOf } from '../../lib/errors.js';
import type { SubscribeRequest } from '#proto/framebus/detection/v1/detection_service.js';
import { formatCursor, parseCursor, type RecordCursor } from './record_cursor.js';
import type { RecordReader } from './record_reader.js';
import type { RecordStreamState } from './record_stream.js';

/** Stored records, for those who read them. */
export interface StoredRecords {
  /** Whether records are to be stored at all. */
  isOn: boolean;
  /** Place of the newest record; null while there is no store. */
  head(): RecordCursor | null;
  /** What the store has now. */
  state(): Promise<RecordStreamState>;
  reader(): Pick<RecordReader, 'read' | 'firstSince' | 'close'>;
}

/** Where a subscriber starts. */
export interface RecordStart {
  /** Behind which its first record is. */
  cursor: RecordCursor;
  /** Records that are missing before it. */
  expired: number;
}

/** Whether a request wants records of the store. Throws OPTION_INVALID. */
export function asksForStored({ resumeAfter, sinceUnixNs, fromBeginning, everyRecord }: SubscribeRequest): boolean {
  const starts = [resumeAfter !== '', sinceUnixNs !== 0n, fromBeginning].filter(Boolean).length;
  if (starts > 1) {
    throw new FramebusError('OPTION_INVALID', 'resume_after, since_unix_ns, from_beginning: only one of them can be the start');
  }
  if (sinceUnixNs < 0n) throw new FramebusError('OPTION_INVALID', `since_unix_ns: ${sinceUnixNs} is before 1970`);
  return starts === 1 || everyRecord;
}

/** Throws RECORDS_OFF, RECORDS_UNAVAILABLE, CURSOR_INVALID, CURSOR_UNKNOWN, CURSOR_EXPIRED. */
export async function startOf(request: SubscribeRequest, stored: StoredRecords): Promise<RecordStart> {
  const { resumeAfter, sinceUnixNs, fromBeginning } = request;
  const cursor = resumeAfter === '' ? null : parseCursor(resumeAfter);
  if (!stored.isOn) throw new FramebusError('RECORDS_OFF', 'sink.records.max_bytes is 0: no records are stored');
  const head = stored.head();
  if (head === null) throw new FramebusError('RECORDS_UNAVAILABLE', 'the store of records is not there');
  if (cursor === null && !fromBeginning && sinceUnixNs === 0n) return { cursor: head, expired: 0 };
  try {
    if (sinceUnixNs !== 0n) return await since(sinceUnixNs, head, stored);
    const state = await stored.state();
    return cursor === null ? startAt(state, state.first - 1) : behind(cursor, state, request);
  } catch (error) {
    if (error instanceof FramebusError) throw error;
    throw new FramebusError('RECORDS_UNAVAILABLE', `the store of records: ${messageOf(error)}`, { cause: error });
  }
}

async function since(unixNs: bigint, head: RecordCursor, stored: StoredRecords): Promise<RecordStart> {
  // The first from a time on that is rounded down may be a little early: nothing is missed.
  const first = await stored.reader().firstSince(Number(unixNs / 1_000_000n));
  return { cursor: { store: head.store, position: first === null ? head.position : first - 1 }, expired: 0 };
}

function behind(cursor: RecordCursor, state: RecordStreamState, { skipExpired }: SubscribeRequest): RecordStart {
  if (cursor.store !== state.store || cursor.position > state.last) {
    throw new FramebusError('CURSOR_UNKNOWN', 'resume_after: it is of stored records that are there no longer');
  }
  const expired = Math.max(0, state.first - cursor.position - 1);
  if (expired === 0) return { cursor, expired };
  if (skipExpired) return { ...startAt(state, state.first - 1), expired };
  throw new FramebusError(
    'CURSOR_EXPIRED',
    `resume_after: ${expired} records behind it are kept no longer; the oldest that is kept comes after ${formatCursor({ store: state.store, position: state.first - 1 })}`,
  );
}

const startAt = ({ store }: RecordStreamState, position: number): RecordStart => ({ cursor: { store, position }, expired: 0 });
