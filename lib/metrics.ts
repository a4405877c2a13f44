import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { StreamState, type StreamStatus } from '#proto/framebus/status/v1/status.js';

/** A registry with the metrics that every process has. Ours begin with `framebus_`. */
export function createMetrics(service: string, instance: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service, instance });
  collectDefaultMetrics({ register: registry });
  return registry;
}

const LATENCY_BUCKETS_SECONDS = [0.005, 0.01, 0.02, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 5];

/** Metrics of the frames of one service, read from its stream counters when somebody asks. */
export class FrameMetrics {
  readonly #latency: Histogram<'stream' | 'stage'>;
  readonly #stage: string;

  /** `stage`: the service, as the label says it. */
  constructor(stage: string, registry: Registry, streams: () => StreamStatus[]) {
    this.#stage = stage;
    this.#latency = new Histogram({
      name: 'framebus_frame_latency_seconds',
      help: 'Time from the decoder until this service was done with a frame.',
      labelNames: ['stream', 'stage'],
      buckets: LATENCY_BUCKETS_SECONDS,
      registers: [registry],
    });
    const frames = new Counter({
      name: 'framebus_frames_total',
      help: 'Frames by what became of them: in, inferred, out, or the reason why not.',
      labelNames: ['stream', 'stage', 'outcome'],
      registers: [registry],
      collect: () => {
        frames.reset();
        for (const stream of streams()) countFrames(frames, stage, stream);
      },
    });
    const detections = new Counter({
      name: 'framebus_detections_total',
      help: 'Detections by class.',
      labelNames: ['stream', 'stage', 'label'],
      registers: [registry],
      collect: () => {
        detections.reset();
        for (const stream of streams()) {
          for (const [label, count] of Object.entries(stream.detections)) {
            detections.inc({ stream: stream.streamId, stage, label }, Number(count));
          }
        }
      },
    });
    const state = new Gauge({
      name: 'framebus_stream_state',
      help: 'State of a stream: 1 connecting, 2 playing, 3 reconnecting, 4 ended, 5 failed.',
      labelNames: ['stream'],
      registers: [registry],
      collect: () => {
        state.reset();
        for (const stream of streams()) {
          if (stream.state !== StreamState.STREAM_STATE_UNSPECIFIED) {
            state.set({ stream: stream.streamId }, stream.state);
          }
        }
      },
    });
  }

  /** Observer of a stream's latencies, in seconds. */
  latencyOf(stream: string): (seconds: number) => void {
    const child = this.#latency.labels({ stream, stage: this.#stage });
    return (seconds) => {
      child.observe(seconds);
    };
  }
}

function countFrames(frames: Counter<'stream' | 'stage' | 'outcome'>, stage: string, status: StreamStatus): void {
  const stream = status.streamId;
  frames.inc({ stream, stage, outcome: 'in' }, Number(status.framesIn));
  frames.inc({ stream, stage, outcome: 'inferred' }, Number(status.framesInferred));
  frames.inc({ stream, stage, outcome: 'out' }, Number(status.framesOut));
  for (const [outcome, count] of Object.entries(status.drops)) {
    frames.inc({ stream, stage, outcome }, Number(count));
  }
}
