import type { Overlay, Viewer, ViewerEvent } from '../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { OutputCounter } from './output_counters.js';
import { emptyOverlay } from './overlay.js';
import type { PictureOutput, SnapshotOptions } from './stream.js';
import type { Picture, Snapshot, StreamOutput } from './stream_output.js';

/** Longest wait for a picture of which a copy without the drawing is kept. */
const CLEAN_SNAPSHOT_MS = 5_000;

/** An output of a stream beside the annotated one. */
export interface FurtherOutput {
  name: string;
  /** false: only what is to be concealed. */
  draw: boolean;
  output: Pick<StreamOutput, 'push' | 'snapshot' | 'cleanSnapshot' | 'openViewer' | 'close'>;
  counter: Pick<OutputCounter, 'dropped'>;
}

type Pushed = ReturnType<StreamOutput['push']>;

/** What stays of a drawing where nothing is drawn. */
const concealedOnly = ({ concealed }: Overlay): Overlay => ({ ...emptyOverlay(), concealed });

/**
 * All outputs of one stream, each with an encoder of its own: the annotated one, whose pictures are
 * the stream's in its books, and further ones with books of their own. Live, each takes what it has
 * room for. Lossless, a frame is done when all have taken it.
 */
export class StreamOutputs implements PictureOutput {
  readonly #annotated: FurtherOutput['output'];
  readonly #further: readonly FurtherOutput[];
  readonly #lossless: boolean;
  /** lossless: the frame that not all outputs have taken, and what came of it in those that have. */
  #begun: { record: DetectionRecord; outcomes: Map<FurtherOutput['output'], Pushed> } | null = null;

  constructor(annotated: FurtherOutput['output'], further: readonly FurtherOutput[], lossless: boolean) {
    this.#annotated = annotated;
    this.#further = further;
    this.#lossless = lossless;
  }

  /** As the annotated output says; full: to be pushed again. */
  push(picture: Picture): Pushed {
    if (this.#lossless) return this.#pushToAll(picture);
    const outcome = this.#annotated.push(picture);
    for (const further of this.#further) {
      const other = pushTo(further, picture);
      if (other === 'full') further.counter.dropped('encoder_full');
    }
    return outcome;
  }

  abandon(record: DetectionRecord, reason: 'stale' | 'encoder_full'): boolean {
    const begun = this.#begun?.record === record ? this.#begun.outcomes : null;
    if (begun !== null) this.#begun = null;
    for (const { output, counter } of this.#further) if (begun?.has(output) !== true) counter.dropped(reason);
    return begun?.get(this.#annotated) === 'queued';
  }

  async snapshot({ quality, output, clean }: SnapshotOptions): Promise<Snapshot | null> {
    const wanted = this.#named(output);
    if (wanted === null) return null;
    const drawn = output === '' || this.#further.some(({ name, draw }) => name === output && draw);
    return clean && drawn ? wanted.cleanSnapshot(quality, CLEAN_SNAPSHOT_MS) : wanted.snapshot(quality);
  }

  openViewer(listener: (event: ViewerEvent) => void, output: string): Viewer | null {
    return this.#named(output)?.openViewer(listener) ?? null;
  }

  async close(): Promise<void> {
    await Promise.all([this.#annotated, ...this.#further.map(({ output }) => output)].map((output) => output.close()));
  }

  #pushToAll(picture: Picture): Pushed {
    if (this.#begun?.record !== picture.record) this.#begun = { record: picture.record, outcomes: new Map() };
    const { outcomes } = this.#begun;
    const take = (output: FurtherOutput['output'], push: () => Pushed): void => {
      if (outcomes.has(output)) return;
      const outcome = push();
      if (outcome !== 'full') outcomes.set(output, outcome);
    };
    take(this.#annotated, () => this.#annotated.push(picture));
    for (const further of this.#further) take(further.output, () => pushTo(further, picture));
    if (outcomes.size <= this.#further.length) return 'full';
    this.#begun = null;
    return outcomes.get(this.#annotated) ?? 'failed';
  }

  /** The annotated one has no name. */
  #named(output: string): FurtherOutput['output'] | null {
    if (output === '') return this.#annotated;
    return this.#further.find(({ name }) => name === output)?.output ?? null;
  }
}

/** Counts failures; what is full is the caller's to count. */
function pushTo({ draw, output, counter }: FurtherOutput, picture: Picture): Pushed {
  const outcome = output.push(draw ? picture : { ...picture, overlay: concealedOnly(picture.overlay) });
  if (outcome === 'failed') counter.dropped('encoder_failed');
  return outcome;
}
