import type { KvEntry } from 'nats';

/** What is stored under a key. */
export interface DesiredEntry {
  key: string;
  /** null: nothing, or nothing any more. */
  value: Uint8Array | null;
  /** Counts all writes, deletions included; 0: the key was never written. */
  revision: number;
}

export type DesiredListener = (entry: DesiredEntry) => void;

/** Entries that are watched, until it is closed. */
export interface DesiredWatch {
  /** Resolves when the listener knows what there was at the start; also when there is no state to be had. */
  readonly initial: Promise<void>;
  /** Ends it: the listener is not called any more. Idempotent. */
  close(): void;
}

/** An entry as the client gives it. */
export function toEntry({ key, value, revision, operation }: KvEntry): DesiredEntry {
  return { key, value: operation === 'PUT' ? value : null, revision };
}
