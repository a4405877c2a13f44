import { describe, expect, it } from 'vitest';
import { outputEncode } from '../../../lib/config.js';
import { emptyOverlay } from '../../../services/sink/overlay.js';
import type { Picture } from '../../../services/sink/stream_output.js';
import { StreamOutputs, type FurtherOutput } from '../../../services/sink/stream_outputs.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

/** An output that has `room` places, and writes down what it took. */
class Place {
  readonly taken: Picture[] = [];
  failing = false;
  closed = false;
  constructor(public room = Infinity) {}
  push = (picture: Picture): 'queued' | 'full' | 'failed' => {
    if (this.failing) return 'failed';
    if (this.taken.length >= this.room) return 'full';
    this.taken.push(picture);
    return 'queued';
  };
  snapshot = () => Promise.resolve({ jpeg: new Uint8Array([1]), record: DetectionRecord.fromPartial({}) });
  cleanSnapshot = () => Promise.resolve({ jpeg: new Uint8Array([2]), record: DetectionRecord.fromPartial({}) });
  openViewer = () => null;
  close = () => {
    this.closed = true;
    return Promise.resolve();
  };
  get seqs(): number[] {
    return this.taken.map(({ record }) => Number(record.seq));
  }
}

function rig(options: { lossless?: boolean; clean?: number; big?: number } = {}) {
  const [annotated, clean, big] = [new Place(), new Place(options.clean), new Place(options.big)];
  const drops: string[] = [];
  const further = (name: string, draw: boolean, output: Place): FurtherOutput => ({
    name,
    draw,
    output,
    counter: { dropped: (reason) => drops.push(`${name} ${reason}`) },
  });
  const outputs = new StreamOutputs(annotated, [further('clean', false, clean), further('big', true, big)], options.lossless === true);
  return { annotated, clean, big, drops, outputs };
}

function picture(seq: number): Picture {
  const concealed = [{ x: 1, y: 2, width: 3, height: 4, with: 'blur' as const }];
  const boxes = [{ x: 1, y: 2, width: 3, height: 4, label: 'person', color: 1, part: false }];
  const overlay = { ...emptyOverlay(), concealed, boxes, lineWidth: 4 };
  return { lease: {} as Picture['lease'], record: DetectionRecord.fromPartial({ seq: BigInt(seq) }), overlay, decodedMonotonicNs: 0n };
}

describe('StreamOutputs', () => {
  it('gives all outputs the same frame, the clean one without its drawing but concealed', () => {
    const { annotated, clean, big, outputs } = rig();
    const pushed = picture(7);
    expect(outputs.push(pushed)).toBe('queued');
    expect(annotated.taken).toEqual([pushed]);
    expect(big.taken).toEqual([pushed]);
    expect(clean.taken).toEqual([{ ...pushed, overlay: { ...emptyOverlay(), concealed: pushed.overlay.concealed } }]);
  });

  it('live: one that is full or fails harms no other', () => {
    const { annotated, clean, big, drops, outputs } = rig({ clean: 1 });
    expect([1, 2].map((seq) => outputs.push(picture(seq)))).toEqual(['queued', 'queued']);
    expect(drops).toEqual(['clean encoder_full']);
    clean.failing = true;
    expect(outputs.push(picture(3))).toBe('queued');
    expect(drops).toEqual(['clean encoder_full', 'clean encoder_failed']);
    annotated.room = 0;
    expect(outputs.push(picture(4))).toBe('full');
    expect(big.seqs).toEqual([1, 2, 3, 4]);
    expect(annotated.seqs).toEqual([1, 2, 3]);
  });

  it('lossless: a frame is done when each has taken it, once', () => {
    const { annotated, clean, big, drops, outputs } = rig({ lossless: true, clean: 0 });
    const first = picture(1);
    expect([outputs.push({ ...first }), outputs.push({ ...first })]).toEqual(['full', 'full']);
    clean.room = 1;
    expect(outputs.push({ ...first })).toBe('queued');
    const second = picture(2);
    expect(outputs.push(second)).toBe('full');
    clean.failing = true;
    expect(outputs.push(second), 'one that fails holds nothing up').toBe('queued');
    expect([annotated, clean, big].map(({ seqs }) => seqs)).toEqual([[1, 2], [1], [1, 2]]);
    expect(drops).toEqual(['clean encoder_failed']);
  });

  it('lossless: a frame that comes no more is counted where it was not taken', () => {
    const { drops, outputs } = rig({ lossless: true, clean: 0 });
    const begun = picture(1);
    expect(outputs.push(begun)).toBe('full');
    expect(outputs.abandon(picture(2).record, 'stale'), 'another one').toBe(false);
    expect(outputs.abandon(begun.record, 'encoder_full')).toBe(true);
    expect(drops).toEqual(['clean stale', 'big stale', 'clean encoder_full']);
  });

  it('takes a clean snapshot of what is drawn on, and the latest picture of what is clean anyway', async () => {
    const { annotated, clean, outputs } = rig();
    const taken = async (output: string, wanted: boolean): Promise<number | undefined> =>
      (await outputs.snapshot({ quality: 90, output, clean: wanted }))?.jpeg[0];
    expect([await taken('', false), await taken('', true)]).toEqual([1, 2]);
    expect([await taken('clean', true), await taken('big', true)]).toEqual([1, 2]);
    expect(await taken('other', false)).toBeUndefined();
    await outputs.close();
    expect([annotated.closed, clean.closed]).toEqual([true, true]);
  });
});

describe('outputEncode', () => {
  const encode = {
    codec: 'h264',
    encoder: 'auto',
    rateControl: 'vbr',
    bitrateKbps: 4000,
    maxBitrateKbps: 6000,
    quality: 23,
    preset: 'veryfast',
    keyframeIntervalMs: 2000,
    threads: 0,
  } as const;

  it('keeps what is not said, and the limit in proportion', () => {
    expect(outputEncode(encode, { bitrateKbps: null })).toEqual(encode);
    expect(outputEncode(encode, { bitrateKbps: 800 })).toEqual({ ...encode, bitrateKbps: 800, maxBitrateKbps: 1200 });
  });
});
