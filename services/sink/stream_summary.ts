import {
  StreamState,
  type ServiceStatus,
  type StreamStatus,
} from '#proto/framebus/status/v1/status.js';

/** A status counts as heard for so long. */
const FRESH_MS = 5_000;

interface Heard {
  status: ServiceStatus;
  before: ServiceStatus | null;
  atMs: number;
}

/** One stream, from what all services say of it. */
export interface StreamSummary {
  id: string;
  state: string;
  reason: string;
  width: number;
  height: number;
  framesIn: number;
  framesInferred: number;
  framesOut: number;
  /** Frames per second over the last second or so. */
  fpsIn: number;
  fpsInferred: number;
  fpsOut: number;
  /** From the decoder to the encoded picture. */
  latency: { p50Ms: number; p99Ms: number } | null;
  drops: Record<string, number>;
  detections: Record<string, number>;
  /** Names of its outputs beside the annotated one. */
  outputs: string[];
}

/** Makes one summary of each stream of what the service instances say of it. */
export class StreamSummaries {
  readonly #heard = new Map<string, Heard>();
  readonly #nowMs: () => number;
  readonly #outputs: (streamId: string) => string[];

  /** `outputs`: names of a stream's further outputs. */
  constructor(nowMs: () => number, outputs: (streamId: string) => string[] = () => []) {
    this.#nowMs = nowMs;
    this.#outputs = outputs;
  }

  hear(status: ServiceStatus): void {
    const key = `${status.service}/${status.instance}`;
    const before = this.#heard.get(key)?.status ?? null;
    // A restarted instance counts from 0 again: no rate across the restart.
    const same = before !== null && before.cpuSeconds <= status.cpuSeconds;
    this.#heard.set(key, { status, before: same ? before : null, atMs: this.#nowMs() });
  }

  /** What is known of the streams, by name. */
  streams(): StreamSummary[] {
    const byId = new Map<string, Contribution[]>();
    for (const heard of this.#fresh()) {
      for (const stream of heard.status.streams) {
        const list = byId.get(stream.streamId) ?? [];
        list.push(contribution(heard, stream));
        byId.set(stream.streamId, list);
      }
    }
    return [...byId.keys()].sort().map((id) => ({ ...summarize(id, byId.get(id) ?? []), outputs: this.#outputs(id) }));
  }

  #fresh(): Heard[] {
    const oldest = this.#nowMs() - FRESH_MS;
    for (const [key, heard] of this.#heard) {
      if (heard.atMs < oldest) this.#heard.delete(key);
    }
    return [...this.#heard.keys()].sort().flatMap((key) => this.#heard.get(key) ?? []);
  }
}

/** What one service instance says of a stream. */
interface Contribution {
  service: string;
  stream: StreamStatus;
  /** Since the status before; null for the first one. */
  seconds: number | null;
  before: StreamStatus | undefined;
}

function contribution({ status, before }: Heard, stream: StreamStatus): Contribution {
  return {
    service: status.service,
    stream,
    seconds: before ? Number(status.unixNs - before.unixNs) / 1e9 : null,
    before: before?.streams.find((s) => s.streamId === stream.streamId),
  };
}

type Counter = 'framesIn' | 'framesInferred' | 'framesOut';

function summarize(id: string, all: Contribution[]): Omit<StreamSummary, 'outputs'> {
  const from = (service: string) => all.filter((c) => c.service === service);
  // Whoever makes the frames: ingest, or a program of the user's own.
  const owners = [...from('ingest'), ...from('producer')];
  const owner = owners.at(-1)?.stream;
  const sink = from('sink');
  const latest = sink.at(-1)?.stream;
  const sized = owner && owner.width > 0 ? owner : latest;
  // Frames that no worker saw never reach infer, so the owner counts what comes in.
  const source = owners.length > 0 ? owners : sink;
  return {
    id,
    state: stateName(owner?.state ?? StreamState.STREAM_STATE_UNSPECIFIED),
    reason: owner?.reason ?? '',
    width: sized?.width ?? 0,
    height: sized?.height ?? 0,
    framesIn: total(source, 'framesIn'),
    framesInferred: total(sink, 'framesInferred'),
    framesOut: total(sink, 'framesOut'),
    fpsIn: rate(source, 'framesIn'),
    fpsInferred: rate(sink, 'framesInferred'),
    fpsOut: rate(sink, 'framesOut'),
    latency: latest?.latency ?? null,
    // What infer drops, the owner has accounted for, or the sink hears of as a result.
    drops: countersOf([...owners, ...sink], (stream) => stream.drops),
    detections: countersOf(sink, (stream) => stream.detections),
  };
}

/** "PLAYING" and so on; empty when ingest was not heard. */
function stateName(state: StreamState): string {
  if (state === StreamState.STREAM_STATE_UNSPECIFIED) return '';
  return StreamState[state].replace('STREAM_STATE_', '');
}

function total(contributions: Contribution[], counter: Counter): number {
  return contributions.reduce((sum, { stream }) => sum + Number(stream[counter]), 0);
}

function rate(contributions: Contribution[], counter: Counter): number {
  let sum = 0;
  for (const { stream, before, seconds } of contributions) {
    if (seconds === null || seconds <= 0) continue;
    sum += Math.max(0, Number(stream[counter] - (before?.[counter] ?? 0n)) / seconds);
  }
  return Math.round(sum * 10) / 10;
}

/**
 * Adds a counter map over the instances of a kind. Two kinds may count the
 * same frames under the same key, so of the kinds the larger sum is taken.
 */
function countersOf(
  contributions: Contribution[],
  counters: (stream: StreamStatus) => Record<string, bigint>,
): Record<string, number> {
  const byKind = new Map<string, Map<string, number>>();
  for (const { service, stream } of contributions) {
    const sums = byKind.get(service) ?? new Map<string, number>();
    for (const [key, count] of Object.entries(counters(stream))) {
      sums.set(key, (sums.get(key) ?? 0) + Number(count));
    }
    byKind.set(service, sums);
  }
  const result: Record<string, number> = {};
  for (const sums of byKind.values()) {
    for (const [key, count] of sums) result[key] = Math.max(result[key] ?? 0, count);
  }
  return result;
}
