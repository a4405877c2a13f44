import { streamStateWord } from '../../lib/status.js';
import { table } from '../status/table.js';
import { SERVICE_KINDS } from '../../lib/service.js';
import type { FleetBoard, StreamRow } from '../fleet/board.js';

const HEADINGS = ['stream', 'state', 'size', 'fps in', 'inferred', 'out', 'p50', 'p99', 'detections', 'drops'];
const TO_THE_RIGHT = new Set([3, 4, 5, 6, 7]);
const MOST_LABELS = 4;

/** The live table: headings, a line for each stream (two when there is a reason), CPU and time. */
export function renderTable(board: FleetBoard, streams: readonly string[], elapsedMs: number): string[] {
  const rows = board.rows(streams);
  const [headings = '', ...lines] = table([HEADINGS, ...rows.map(rowCells)], TO_THE_RIGHT).split('\n');
  const withReasons = lines.flatMap((line, index) => {
    const reason = rows[index]?.reason ?? '';
    return reason === '' ? [line] : [line, `  ${reason}`];
  });
  const cpu = SERVICE_KINDS.map((kind) => `${kind} ${percent(board.cores(kind))}`).join(', ');
  return [headings, ...withReasons, `CPU: ${cpu} of a core. Running for ${clock(elapsedMs)}.`];
}

function rowCells(row: StreamRow): string[] {
  const milliseconds = (value: number): string => (row.framesSent === 0 ? '–' : `${value.toFixed(0)} ms`);
  return [
    row.id,
    streamStateWord(row.state) || 'starting',
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
