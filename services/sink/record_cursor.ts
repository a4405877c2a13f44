import { createHash } from 'node:crypto';
import { FramebusError } from '../../lib/errors.js';

/** A place in the store of records: behind one record. To clients it is text that they hand back. */
export interface RecordCursor {
  /** Which store; see `storeIdentity`. */
  store: string;
  /** Position of the record in the store, from 1; 0 is before the first. */
  position: number;
}

const CURSOR = /^1-([0-9a-f]{12})-(\d{1,16})$/;

/** Tells a store from the one that had its name before; `created` as the server has it. */
export function storeIdentity(created: string): string {
  return createHash('sha256').update(created).digest('hex').slice(0, 12);
}

export function formatCursor({ store, position }: RecordCursor): string {
  return `1-${store}-${position}`;
}

/** Throws CURSOR_INVALID. */
export function parseCursor(text: string): RecordCursor {
  const [, store, digits] = CURSOR.exec(text) ?? [];
  const position = Number(digits);
  if (store === undefined || !Number.isSafeInteger(position)) {
    const shown = text.length > 60 ? `${text.slice(0, 57)}...` : text;
    throw new FramebusError('CURSOR_INVALID', `resume_after: ${JSON.stringify(shown)} is no cursor`);
  }
  return { store, position };
}
