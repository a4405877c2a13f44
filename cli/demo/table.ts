import { StreamState } from '#proto/framebus/status/v1/status.js';
import { SERVICE_KINDS, type DemoBoard, type StreamRow } from './board.js';

const STATE_WORDS: Readonly<Record<StreamState, string>> = {
  [StreamState.STREAM_STATE_UNSPECIFIED]: 'starting',
  [StreamState.STREAM_STATE_CONNECTING]: 'connecting',
  [StreamState.STREAM_STATE_PLAYING]: 'playing',
  [StreamState.STREAM_STATE_RECONNECTING]: 'reconnecting',
  [StreamState.STREAM_STATE_ENDED]: 'ended',
  [StreamState.STREAM_STATE_FAILED]: 'failed',
};

const HEADINGS = ['stream', 'state', 'size', 'fps in', 'inferred', 'out', 'p50', 'p99', 'detections', 'drops'];
const TO_THE_RIGHT = new Set([3, 4, 5, 6, 7]);
const MOST_LABELS = 4;

/** State of a stream in a word. */
export function stateWord(state: StreamState): string {
  return STATE_WORDS[state];
}

/** The live table: headings, a line for each stream (two when there is a reason), CPU and time. */
export function renderTable(board: DemoBoard, streams: readonly string[], elapsedMs: number): string[] {
  const rows = board.rows(streams);
  const cells = [HEADINGS, ...rows.map(rowCells)];
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines: string[] = [];
  cells.forEach((row, index) => {
    const padded = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return TO_THE_RIGHT.has(column) ? cell.padStart(width) : cell.padEnd(width);
    });
    lines.push(padded.join('  ').trimEnd());
    const reason = rows[index - 1]?.reason ?? '';
    if (reason !== '') lines.push(`  ${reason}`);
  });
  const cpu = SERVICE_KINDS.map((kind) => `${kind} ${percent(board.cores(kind))}`).join(', ');
  lines.push(`CPU: ${cpu} of a core. Running for ${clock(elapsedMs)}.`);
  return lines;
}

function rowCells(row: StreamRow): string[] {
  const milliseconds = (value: number): string => (row.framesSent === 0 ? '–' : `${value.toFixed(0)} ms`);
  return [
    row.id,
    stateWord(row.state),
    row.width === 0 ? '–' : `${row.width}×${row.height}`,
    row.rates.decoded.toFixed(1),
    row.rates.inferred.toFixed(1),
    row.rates.sent.toFixed(1),
    milliseconds(row.latency.p50Ms),
    milliseconds(row.latency.p99Ms),
    countsText(row.detections),
    countsText(row.drops),
  ];
}

/** The most frequent first; a rest is named as such. */
function countsText(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, MOST_LABELS).map(([label, count]) => `${label} ${count}`);
  if (sorted.length > MOST_LABELS) shown.push(`${sorted.length - MOST_LABELS} more`);
  return shown.length === 0 ? '–' : shown.join(', ');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function clock(ms: number): string {
  const total = Math.floor(ms / 1000);
  return `${Math.floor(total / 60)}:${String(total % 60).padStart(2, '0')}`;
}
