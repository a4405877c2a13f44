import { StreamState, type LatencySummary, type StreamStatus } from '#proto/framebus/status/v1/status.js';
import { FrameMetrics } from './metrics.js';
import type { Registry } from 'prom-client';

/** Why a frame was dropped, or was not looked at. Keys of StreamStatus.drops. */
export const DROP_REASONS = [
  'pool_exhausted',
  'skipped',
  'overloaded',
  'superseded',
  'expired',
  'worker_lost',
  'failed',
  'late',
  'duplicate',
  'stale',
  'encoder_full',
  'encoder_failed',
  'unknown_version',
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Quantiles of the durations of the last few seconds. */
export class LatencyWindow {
  readonly #spanMs: number;
  readonly #samples: Float64Array;
  readonly #times: Float64Array;
  readonly #nowMs: () => number;
  #next = 0;

  /** Keeps at most `capacity` samples that are at most `spanMs` old. */
  constructor(spanMs = 5_000, capacity = 1_024, nowMs: () => number = () => performance.now()) {
    this.#spanMs = spanMs;
    this.#samples = new Float64Array(capacity);
    this.#times = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
    this.#nowMs = nowMs;
  }

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#times[this.#next] = this.#nowMs();
    this.#next = (this.#next + 1) % this.#samples.length;
  }

  /** Nearest-rank quantiles; zeros when there is no sample. */
  summary(): LatencySummary {
    const oldest = this.#nowMs() - this.#spanMs;
    const recent = this.#samples.filter((_, i) => (this.#times[i] ?? 0) >= oldest).sort();
    const quantile = (q: number): number => recent[Math.max(0, Math.ceil(q * recent.length) - 1)] ?? 0;
    return { p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
  }
}

/** Everything that is counted of one stream in one service. Counters only go up. */
export class StreamCounters {
  readonly id: string;
  /** From the decoder to where this service is done with the frame. */
  readonly latency = new LatencyWindow();
  readonly #observe: (seconds: number) => void;
  readonly #drops = new Map<DropReason, number>();
  readonly #detections = new Map<string, number>();
  #in = 0;
  #inferred = 0;
  #out = 0;
  #state = StreamState.STREAM_STATE_UNSPECIFIED;
  #reason = '';
  #width = 0;
  #height = 0;

  constructor(id: string, observe: (seconds: number) => void) {
    this.id = id;
    this.#observe = observe;
  }

  /** A frame came in. */
  frameIn(count = 1): void {
    this.#in += count;
  }

  /** A frame went through the model. */
  inferred(count = 1): void {
    this.#inferred += count;
  }

  /** A frame went out. */
  frameOut(count = 1): void {
    this.#out += count;
  }

  /** A frame was dropped, or not looked at. */
  drop(reason: DropReason, count = 1): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + count);
  }

  /** Something of this class was seen. */
  detection(label: string, count = 1): void {
    this.#detections.set(label, (this.#detections.get(label) ?? 0) + count);
  }

  /** How long a frame took to get here. */
  took(ms: number): void {
    this.latency.add(ms);
    this.#observe(ms / 1_000);
  }

  /** State of the stream, and why, where that is not plain. */
  setState(state: StreamState, reason = ''): void {
    this.#state = state;
    this.#reason = reason;
  }

  setSize(width: number, height: number): void {
    this.#width = width;
    this.#height = height;
  }

  status(): StreamStatus {
    const count = ([key, value]: [string, number]): [string, bigint] => [key, BigInt(value)];
    return {
      streamId: this.id,
      state: this.#state,
      reason: this.#reason,
      width: this.#width,
      height: this.#height,
      framesIn: BigInt(this.#in),
      framesInferred: BigInt(this.#inferred),
      framesOut: BigInt(this.#out),
      drops: Object.fromEntries([...this.#drops].map(count)),
      detections: Object.fromEntries([...this.#detections].map(count)),
      latency: this.latency.summary(),
    };
  }
}

/** The counters of a service, by stream; the same numbers go to the status messages and to /metrics. */
export class Counters {
  readonly #streams = new Map<string, StreamCounters>();
  readonly #metrics: FrameMetrics;

  constructor(service: string, registry: Registry) {
    this.#metrics = new FrameMetrics(service, registry, () => this.statuses());
  }

  /** Counters of a stream, made at first use. */
  stream(id: string): StreamCounters {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      stream = new StreamCounters(id, this.#metrics.latencyOf(id));
      this.#streams.set(id, stream);
    }
    return stream;
  }

  /** Of every stream, in the order of first use. */
  statuses(): StreamStatus[] {
    return [...this.#streams.values()].map((stream) => stream.status());
  }
}
