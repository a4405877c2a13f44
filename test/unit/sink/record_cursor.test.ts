import { expect, test } from 'vitest';
import { formatCursor, parseCursor, storeIdentity } from '../../../services/sink/record_cursor.js';

test('a cursor is read back as it was', () => {
  const cursor = { store: storeIdentity('2025-03-01T12:00:00.123456789Z'), position: 9_007_199_254_740_991 };
  expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
  expect(storeIdentity('2025-03-01T12:00:00.123456788Z')).not.toBe(cursor.store);
});

test.each(['1', '2-0123456789ab-1', '1-0123456789ab-', '1-0123456789ab--1', '1-0123456789AB-1', '1-0123456789ab-1 ', '1-0123456789ab-9999999999999999'])(
  '"%s" is none',
  (text) => {
    expect(() => parseCursor(text)).toThrow(expect.objectContaining({ code: 'CURSOR_INVALID' }));
  },
);
