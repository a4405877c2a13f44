import { Counter, type Registry } from 'prom-client';
import type { EncodedPicture } from './stream_output.js';

/** Why a picture of a stream did not come out of one of its outputs. */
export type OutputDrop = 'stale' | 'encoder_full' | 'encoder_failed';

/** What one further output of a stream has done. Counters only go up. */
export class OutputCounter {
  #out = 0;
  #bytes = 0;
  readonly #drops = new Map<OutputDrop, number>();

  encoded({ bytes }: Pick<EncodedPicture, 'bytes'>): void {
    this.#out++;
    this.#bytes += bytes;
  }

  dropped(reason: OutputDrop): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Pictures by what became of them. */
  get frames(): [outcome: string, count: number][] {
    return [['out', this.#out], ...this.#drops];
  }
}

/** The counters of all further outputs; those of the annotated pictures are the streams' own. */
export class OutputCounters {
  readonly #counters = new Map<string, { stream: string; output: string; counter: OutputCounter }>();

  constructor(registry: Registry) {
    const all = this.#counters;
    new Counter({
      name: 'framebus_output_frames_total',
      help: 'Frames of the further outputs of streams by what became of them: out, or the reason why not.',
      labelNames: ['stream', 'output', 'outcome'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { stream, output, counter } of all.values()) {
          for (const [outcome, count] of counter.frames) this.inc({ stream, output, outcome }, count);
        }
      },
    });
    new Counter({
      name: 'framebus_output_bytes_total',
      help: 'Bytes of encoded video of the further outputs of streams.',
      labelNames: ['stream', 'output'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { stream, output, counter } of all.values()) this.inc({ stream, output }, counter.bytes);
      },
    });
  }

  /** Of an output, made at first use. */
  of(stream: string, output: string): OutputCounter {
    const key = `${stream}/${output}`;
    const { counter } = this.#counters.get(key) ?? { counter: new OutputCounter() };
    this.#counters.set(key, { stream, output, counter });
    return counter;
  }
}
