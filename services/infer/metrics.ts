import { Gauge, Histogram, type Registry } from 'prom-client';
import type { BatchTimes } from './detector.js';

const AGE_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];
const STAGE_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];
const BATCH_FRAMES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256];
/** Label of streams that the configuration does not name: anybody can send frames under any name. */
const OTHER_STREAM = 'other';

/** A frame of a batch, as far as the metrics need to know it. */
export interface MeasuredFrame {
  streamId: string;
  /** CLOCK_MONOTONIC of the lease, in nanoseconds. */
  leasedNs: bigint;
}

/** Metrics of the batches of one service, by model, and by stream where one is named. */
export class InferMetrics {
  readonly #queueAge: Histogram<'model' | 'stream'>;
  readonly #batchFrames: Histogram<'model'>;
  readonly #stages: Histogram<'model' | 'step'>;
  readonly #inFlight: Gauge<'model' | 'stream'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#queueAge = new Histogram({
      name: 'framebus_infer_queue_age_seconds',
      help: 'Time from the lease of a frame until its batch started.',
      labelNames: ['model', 'stream'],
      buckets: AGE_SECONDS,
      registers,
    });
    this.#batchFrames = new Histogram({
      name: 'framebus_infer_batch_frames',
      help: 'Frames of a batch.',
      labelNames: ['model'],
      buckets: BATCH_FRAMES,
      registers,
    });
    this.#stages = new Histogram({
      name: 'framebus_infer_batch_seconds',
      help: 'Time of a batch by step: preprocess, engine, decode.',
      labelNames: ['model', 'step'],
      buckets: STAGE_SECONDS,
      registers,
    });
    this.#inFlight = new Gauge({
      name: 'framebus_infer_in_flight_frames',
      help: 'Frames that are leased and not yet let go: they wait, are in a batch, or their result is on its way.',
      labelNames: ['model', 'stream'],
      registers,
    });
  }

  /** The metrics of one model; `streams` get a label of their own. */
  model(model: string, streams: readonly string[]): ModelMetrics {
    const named = new Set(streams);
    const labelOf = (stream: string): string => (named.has(stream) ? stream : OTHER_STREAM);
    for (const stream of streams) this.#inFlight.set({ model, stream }, 0);
    const steps = {
      preprocess: this.#stages.labels({ model, step: 'preprocess' }),
      engine: this.#stages.labels({ model, step: 'engine' }),
      decode: this.#stages.labels({ model, step: 'decode' }),
    };
    const batchFrames = this.#batchFrames.labels({ model });
    return {
      taken: (stream) => this.#inFlight.inc({ model, stream: labelOf(stream) }),
      letGo: (stream) => this.#inFlight.dec({ model, stream: labelOf(stream) }),
      batch: (frames, { startedNs, preprocessedNs, inferredNs, decodedNs }) => {
        batchFrames.observe(frames.length);
        steps.preprocess.observe(seconds(startedNs, preprocessedNs));
        steps.engine.observe(seconds(preprocessedNs, inferredNs));
        steps.decode.observe(seconds(inferredNs, decodedNs));
        for (const { streamId, leasedNs } of frames) {
          this.#queueAge.observe({ model, stream: labelOf(streamId) }, seconds(leasedNs, startedNs));
        }
      },
    };
  }
}

/** What one model's work is counted with. */
export interface ModelMetrics {
  /** A frame was leased. */
  taken(streamId: string): void;
  /** Its lease has ended. */
  letGo(streamId: string): void;
  /** A batch is done. */
  batch(frames: readonly MeasuredFrame[], times: BatchTimes): void;
}

const seconds = (fromNs: bigint, toNs: bigint): number => Number(toNs - fromNs) / 1e9;
