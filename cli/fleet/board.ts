import type { ServiceKind } from '../../lib/service.js';
import { ServiceState, StreamState, type ServiceStatus, type StreamStatus } from '#proto/framebus/status/v1/status.js';

/** Rates are taken over so much time, so that the table is calm and yet alive. */
const RATE_WINDOW_MS = 5_000;
/** Reasons that only sink decides on; the others may be counted by every service that sees them. */
const DROPPED_BY_SINK = new Set(['late', 'duplicate', 'stale', 'encoder_full', 'encoder_failed']);

/** One stream, put together from what the three services say of it. */
export interface StreamRow {
  id: string;
  state: StreamState;
  reason: string;
  width: number;
  height: number;
  framesDecoded: number;
  framesInferred: number;
  framesSent: number;
  /** Frames per second over the last seconds. */
  rates: { decoded: number; inferred: number; sent: number };
  latency: { p50Ms: number; p99Ms: number };
  detections: Map<string, number>;
  drops: Map<string, number>;
}

interface Sample {
  atMs: number;
  status: ServiceStatus;
}

/** What the services say of themselves, newest first to hand. */
export class FleetBoard {
  readonly #samples = new Map<string, Sample[]>();

  /** Takes a status message in. */
  update(status: ServiceStatus): void {
    const sample = { atMs: Number(status.unixNs) / 1e6, status };
    const samples = this.#samples.get(status.service) ?? [];
    const recent = samples.filter(({ atMs }) => atMs > sample.atMs - RATE_WINDOW_MS);
    this.#samples.set(status.service, [...recent, sample]);
  }

  /** The newest status of a service. */
  service(kind: ServiceKind): ServiceStatus | undefined {
    return this.#samples.get(kind)?.at(-1)?.status;
  }

  /** Whether a service has said that it is ready. */
  isRunning(kind: ServiceKind): boolean {
    return this.service(kind)?.state === ServiceState.SERVICE_STATE_RUNNING;
  }

  /** Cores that a service uses, over the last seconds; 1 is one core all the time. */
  cores(kind: ServiceKind): number {
    return this.#rate(kind, (status) => status.cpuSeconds);
  }

  /** One row for each of these streams. */
  rows(streams: readonly string[]): StreamRow[] {
    return streams.map((id) => this.#row(id));
  }

  #row(id: string): StreamRow {
    const ingest = this.#stream('ingest', id);
    const infer = this.#stream('infer', id);
    const sink = this.#stream('sink', id);
    const rate = (kind: ServiceKind, count: (stream: StreamStatus) => bigint): number =>
      this.#rate(kind, (status) => {
        const stream = status.streams.find(({ streamId }) => streamId === id);
        return stream === undefined ? 0 : Number(count(stream));
      });
    return {
      id,
      state: ingest?.state ?? StreamState.STREAM_STATE_UNSPECIFIED,
      reason: ingest?.reason ?? '',
      width: ingest?.width ?? 0,
      height: ingest?.height ?? 0,
      framesDecoded: Number(ingest?.framesIn ?? 0n),
      framesInferred: Number(infer?.framesInferred ?? 0n),
      framesSent: Number(sink?.framesOut ?? 0n),
      rates: {
        decoded: rate('ingest', (stream) => stream.framesIn),
        inferred: rate('infer', (stream) => stream.framesInferred),
        sent: rate('sink', (stream) => stream.framesOut),
      },
      latency: { p50Ms: sink?.latency?.p50Ms ?? 0, p99Ms: sink?.latency?.p99Ms ?? 0 },
      detections: counts(sink?.detections),
      drops: mergeDrops(counts(ingest?.drops), counts(infer?.drops), counts(sink?.drops)),
    };
  }

  #stream(kind: ServiceKind, id: string): StreamStatus | undefined {
    return this.service(kind)?.streams.find(({ streamId }) => streamId === id);
  }

  #rate(kind: ServiceKind, count: (status: ServiceStatus) => number): number {
    const samples = this.#samples.get(kind) ?? [];
    const first = samples[0];
    const last = samples.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    // A restarted service counts from 0 again.
    const counted = Math.max(0, count(last.status) - count(first.status));
    return (counted * 1000) / (last.atMs - first.atMs);
  }
}

function counts(map: Record<string, bigint> | undefined): Map<string, number> {
  return new Map(Object.entries(map ?? {}).map(([key, value]) => [key, Number(value)]));
}

/** A frame that was not looked at is counted wherever it is seen; the sum would count it twice. */
function mergeDrops(
  ingest: Map<string, number>,
  infer: Map<string, number>,
  sink: Map<string, number>,
): Map<string, number> {
  const merged = new Map<string, number>();
  for (const reason of new Set([...ingest.keys(), ...infer.keys(), ...sink.keys()])) {
    const seen = [sink.get(reason) ?? 0];
    if (!DROPPED_BY_SINK.has(reason)) seen.push(ingest.get(reason) ?? 0, infer.get(reason) ?? 0);
    const count = Math.max(...seen);
    if (count > 0) merged.set(reason, count);
  }
  return merged;
}
