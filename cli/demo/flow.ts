import { StreamState } from '#proto/framebus/status/v1/status.js';
import { SERVICE_KINDS } from '../../lib/service.js';
import type { FleetBoard, StreamRow } from '../fleet/board.js';

/** How far the demo has come on its way to the first picture. */
export type Flow =
  | { kind: 'waiting'; text: string; retrying: boolean }
  /** Pictures come out; `all`: of every stream that has not failed or ended. */
  | { kind: 'flowing'; all: boolean }
  /** No stream will ever play. */
  | { kind: 'failed'; reasons: string[] };

/** Reads the state of the demo off the board. */
export function flowOf(board: FleetBoard, streams: readonly string[]): Flow {
  const rows = board.rows(streams);
  const failed = rows.filter(({ state }) => state === StreamState.STREAM_STATE_FAILED);
  if (failed.length === rows.length) {
    return { kind: 'failed', reasons: failed.map(({ id, reason }) => `${id}: ${reason}`) };
  }
  const playable = rows.filter((row) => !failed.includes(row));
  const flowing = playable.filter(({ framesSent }) => framesSent > 0);
  if (flowing.length > 0) return { kind: 'flowing', all: flowing.length === playable.length };
  return {
    kind: 'waiting',
    text: waitingText(board, playable),
    retrying: playable.some(({ state }) => state === StreamState.STREAM_STATE_RECONNECTING),
  };
}

/** Whether all streams have come to their end. */
export function isOver(rows: readonly StreamRow[]): boolean {
  return rows.every(
    ({ state }) => state === StreamState.STREAM_STATE_ENDED || state === StreamState.STREAM_STATE_FAILED,
  );
}

function waitingText(board: FleetBoard, rows: readonly StreamRow[]): string {
  const starting = SERVICE_KINDS.filter((kind) => !board.isRunning(kind));
  if (starting.length > 0) return `Starting ${starting.join(', ')}`;
  const retrying = rows.find(({ state }) => state === StreamState.STREAM_STATE_RECONNECTING);
  if (retrying !== undefined) return `${retrying.id}: trying again: ${retrying.reason}`;
  if (rows.every(({ framesDecoded }) => framesDecoded === 0)) {
    return `Opening ${rows.map(({ id }) => id).join(', ')}`;
  }
  const received = board.service('sink')?.streams.some(({ framesIn }) => framesIn > 0n) ?? false;
  return received ? 'Waiting for the first encoded picture' : 'Frames are decoded; waiting for the first result';
}
