import type { ServiceStatus, StreamStatus } from '#proto/framebus/status/v1/status.js';
import { stateWord, streamStateWord } from '../../lib/status.js';
import { table } from './table.js';

/** The way of a frame. */
const ORDER = ['ingest', 'producer', 'infer', 'sink'];

/** What services say of themselves, for people. */
export function statusReport(all: readonly ServiceStatus[]): string {
  const head = ['service', 'state', 'CPU', 'memory', 'addresses'];
  const services = all.toSorted((a, b) => ORDER.indexOf(a.service) - ORDER.indexOf(b.service));
  const rows = services.map((service) => [
    `${service.service} ${service.instance}`,
    stateWord(service.state),
    `${service.cpuSeconds.toFixed(1)} s`,
    `${(Number(service.residentBytes) / 2 ** 20).toFixed(0)} MiB`,
    Object.values(service.addresses).join(' '),
  ]);
  const streams = services.flatMap((service) => service.streams.map((stream) => streamRow(service, stream)));
  const streamHead = ['stream', 'in', 'state', 'size', 'frames in', 'inferred', 'out', 'p50', 'p99', 'drops'];
  const parts = [table([head, ...rows], new Set([2, 3]))];
  if (streams.length > 0) parts.push(table([streamHead, ...streams], new Set([4, 5, 6, 7, 8])));
  const reasons = services.flatMap((service) =>
    service.streams.filter(({ reason }) => reason !== '').map(({ streamId, reason }) => `${streamId}: ${reason}`),
  );
  if (reasons.length > 0) parts.push(reasons.join('\n'));
  return parts.join('\n\n');
}

function streamRow(service: ServiceStatus, stream: StreamStatus): string[] {
  const milliseconds = (value: number | undefined): string => (value === undefined || value === 0 ? '–' : `${value.toFixed(0)} ms`);
  const drops = Object.entries(stream.drops).filter(([, count]) => count > 0n);
  return [
    stream.streamId,
    service.instance,
    streamStateWord(stream.state),
    stream.width === 0 ? '–' : `${stream.width}×${stream.height}`,
    String(stream.framesIn),
    String(stream.framesInferred),
    String(stream.framesOut),
    milliseconds(stream.latency?.p50Ms),
    milliseconds(stream.latency?.p99Ms),
    drops.length === 0 ? '–' : drops.map(([reason, count]) => `${reason} ${count}`).join(', '),
  ];
}
