import type { ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { SERVICE_KINDS, type ServiceKind } from '../../lib/service.js';
import type { FleetBoard } from '../fleet/board.js';

/** One stream in the report. */
interface StreamReport {
  id: string;
  width: number;
  height: number;
  frames_decoded: number;
  frames_inferred: number;
  frames_sent: number;
  detections: number;
  drops: Record<string, number>;
  fps: number;
  latency_ms: { p50: number; p99: number };
}

/** What `framebus demo --json` prints at its end. */
export interface DemoReport {
  streams: StreamReport[];
  rtsp: string[];
  grpc: string;
  cpu_seconds: Record<ServiceKind, number>;
  clean_exit: boolean;
}

/** Where the demo can be looked at. */
export interface DemoAddresses {
  /** One for each stream. */
  rtsp: string[];
  grpc: string;
  page: string;
}

export interface ReportFacts {
  board: FleetBoard;
  streams: readonly string[];
  addresses: DemoAddresses;
  /** sink's status when frames began to flow, and its last one before the end began. */
  measured: { from: ServiceStatus; to: ServiceStatus };
  cleanExit: boolean;
}

/** Puts the report together from the last that each service said. */
export function demoReport(facts: ReportFacts): DemoReport {
  const { board, streams, addresses } = facts;
  const cpu = SERVICE_KINDS.map((kind) => [kind, rounded(board.service(kind)?.cpuSeconds ?? 0)]);
  return {
    streams: board.rows(streams).map((row) => ({
      id: row.id,
      width: row.width,
      height: row.height,
      frames_decoded: row.framesDecoded,
      frames_inferred: row.framesInferred,
      frames_sent: row.framesSent,
      detections: [...row.detections.values()].reduce((sum, count) => sum + count, 0),
      drops: Object.fromEntries(row.drops),
      fps: fps(facts.measured, row.id),
      latency_ms: { p50: rounded(row.latency.p50Ms), p99: rounded(row.latency.p99Ms) },
    })),
    rtsp: addresses.rtsp,
    grpc: addresses.grpc,
    cpu_seconds: Object.fromEntries(cpu) as Record<ServiceKind, number>,
    clean_exit: facts.cleanExit,
  };
}

/** Frames that left sink per second while the demo ran. */
function fps({ from, to }: ReportFacts['measured'], id: string): number {
  const seconds = Number(to.unixNs - from.unixNs) / 1e9;
  const sent = (status: ServiceStatus): number =>
    Number(status.streams.find(({ streamId }) => streamId === id)?.framesOut ?? 0n);
  return seconds <= 0 ? 0 : rounded((sent(to) - sent(from)) / seconds);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
