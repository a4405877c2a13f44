import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { FIXED_BOXES, fixedBoxes, meanColour, SMALL_SIDE, writeSmallModel } from '../helpers/small_model.js';
import { tempFolder } from '../helpers/temp.js';

/** The frame is twice as wide as high: letterboxed to 64 × 64, it is 64 × 32 and lies 16 below the top. */
const [WIDTH, HEIGHT] = [256, 128];

/** A clip whose left half is red and whose right half is blue. */
function clip(folder: string): string {
  const file = path.join(folder, 'halves.mkv');
  const half = (pattern: string, x: number): string[] => ['videotestsrc', 'num-buffers=300', `pattern=${pattern}`, '!', `video/x-raw,format=I420,width=${WIDTH / 2},height=${HEIGHT},framerate=10/1`, '!', `mix.sink_${x}`];
  const mix = ['compositor', 'name=mix', 'sink_0::xpos=0', `sink_1::xpos=${WIDTH / 2}`, '!', 'video/x-raw,format=I420', '!', 'x264enc', 'tune=zerolatency', 'quantizer=5', '!', 'matroskamux', '!', 'filesink', `location=${file}`];
  const { status, stderr } = spawnSync('gst-launch-1.0', ['-q', ...half('red', 0), ...half('blue', 1), ...mix], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`gst-launch-1.0: ${stderr}`);
  return file;
}

/**
 * `pair` finds one box in each half and a small one; `colour` says which colour a picture
 * has; `middle` finds a box in the middle of any picture.
 */
function models(folder: string): void {
  writeSmallModel(folder, 'pair', { ...FIXED_BOXES, labels: { 0: 'left', 1: 'right', 2: 'speck' } }, (graph, images) =>
    fixedBoxes(graph, images, [
      [4, 20, 28, 44, 0.9, 0],
      [36, 20, 60, 44, 0.8, 1],
      [2, 18, 4, 20, 0.7, 2],
    ]),
  );
  const decoder = { kind: 'classification', output: 'scores', activation: 'none' };
  const labels = { 0: 'red', 1: 'green', 2: 'blue' };
  writeSmallModel(
    folder,
    'colour',
    { task: 'classify', decoder, labels, thresholds: { default: 0.5 } },
    (graph, images) => graph.output('scores', meanColour(graph, images), ['N', 3]),
    { side: 32, resize: 'stretch' },
  );
  const [from, to] = [SMALL_SIDE / 4, (SMALL_SIDE * 3) / 4];
  writeSmallModel(folder, 'middle', { ...FIXED_BOXES, labels: { 0: 'badge' } }, (graph, images) => fixedBoxes(graph, images, [[from, from, to, to, 0.6, 0]]), {
    resize: 'stretch',
  });
  writeSmallModel(folder, 'areas', { task: 'segment', decoder: { kind: 'segmentation', output: 'scores', layout: 'nchw' }, labels: { 2: 'blue' } }, (graph, images) =>
    graph.output('scores', images, ['N', 3, SMALL_SIDE, SMALL_SIDE]),
  );
}

async function create(secondary: Record<string, unknown>[], more: Record<string, unknown> = {}): Promise<Pipeline> {
  const folder = tempFolder();
  models(folder);
  const stream = { source: clip(folder), model: 'pair', secondary, loop: more['mode'] === undefined, ...more };
  return Pipeline.create({ streams: { halves: stream, again: stream }, models: { directory: folder } });
}

const inferred = ({ records }: Pipeline): DetectionRecord[] => records.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_INFERRED);
const byLabel = ({ detections }: DetectionRecord, label: string): Detection => {
  const found = detections.find((detection) => detection.label === label);
  if (found === undefined) throw new Error(`there is no ${label}`);
  return found;
};

describe('secondary models', () => {
  it('see each detection cut out of the frame, and their results are with it', async () => {
    const pipeline = await create([
      { model: 'colour', min_size: 16 },
      { model: 'middle', labels: ['right'] },
    ]);
    await pipeline.runAll();
    const both = (): boolean => ['halves', 'again'].every((id) => inferred(pipeline).filter(({ streamId }) => streamId === id).length >= 10);
    await eventually(() => `10 records of both\n${pipeline.output()}`, both, { timeoutMs: 60_000 });
    for (const record of inferred(pipeline)) {
      const [left, right, speck] = ['left', 'right', 'speck'].map((label) => byLabel(record, label));
      expect(left?.box).toEqual({ x: 16, y: 16, width: 96, height: 96 });
      expect(left?.attributes).toEqual([{ model: 'colour', classId: 0, label: 'red', confidence: expect.closeTo(1, 1) as number }]);
      expect(right?.attributes).toEqual([{ model: 'colour', classId: 2, label: 'blue', confidence: expect.closeTo(1, 1) as number }]);
      expect(left?.parts).toEqual([]);
      // The middle half of the box, in pixels of the frame.
      expect(right?.parts).toMatchObject([{ model: 'middle', label: 'badge', box: { x: 168, y: 40, width: 48, height: 48 } }]);
      // 8 pixels are less than min_size asks for.
      expect([speck?.attributes, speck?.parts]).toEqual([[], []]);
      expect(record.model).toBe('pair');
    }
  });

  it('look at each object every so many frames once sink follows it, and what they said stays with it', async () => {
    const pipeline = await create([{ model: 'colour', interval: 9 }]);
    await pipeline.runAll();
    const halves = (): DetectionRecord[] => inferred(pipeline).filter(({ streamId }) => streamId === 'halves');
    await eventually(() => `80 records\n${pipeline.output()}`, () => halves().length >= 80, { timeoutMs: 60_000 });
    // Sink needs three frames to follow an object, and its word some time to be heard.
    const later = halves().slice(20);
    for (const [label, colour] of [['left', 'red'], ['right', 'blue']] as const) {
      const objects = later.map((record) => ({ seq: record.seq, ...byLabel(record, label) }));
      expect(new Set(objects.map(({ trackId }) => trackId)).size).toBe(1);
      expect(new Set(objects.flatMap(({ attributes }) => attributes.map((attribute) => attribute.label)))).toEqual(new Set([colour]));
      expect(objects.every(({ attributes }) => attributes.length === 1)).toBe(true);
      const looked = objects.filter(({ lookedBy }) => lookedBy.includes('colour')).map(({ seq }) => seq);
      const gaps = looked.slice(1).map((seq, index) => seq - (looked[index] ?? 0n));
      expect(gaps.length).toBeGreaterThan(2);
      for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(10n);
    }
  });

  it('look at every so many frames, where nobody follows objects', async () => {
    const pipeline = await create([{ model: 'colour', interval: 3 }], { mode: 'lossless', pace: 'fast', tracker: { kind: 'none' } });
    await pipeline.runAll();
    await eventually(() => `all records\n${pipeline.output()}`, () => inferred(pipeline).length >= 600, { timeoutMs: 110_000 });
    const looked = inferred(pipeline).filter((record) => record.streamId === 'halves' && byLabel(record, 'left').attributes.length > 0);
    // One of each four.
    expect(looked.map(({ seq }) => seq / 4n)).toEqual(Array.from({ length: 75 }, (_, index) => BigInt(index)));
  });

  it('are refused where they could never say anything', async () => {
    const cases: [Record<string, unknown>, Record<string, unknown>, string][] = [
      [{ model: 'areas' }, {}, 'streams.halves.secondary[0].model: task of areas is segment; must be classify or detect'],
      [{ model: 'colour', labels: ['top'] }, {}, 'streams.halves.secondary[0].labels: "top": model pair, whose detections it looks at, has no such label'],
      [{ model: 'colour' }, { model: null }, 'stream "halves" has no model; secondary models look at detections'],
      [{ model: 'color' }, {}, 'model "color": there is no such manifest'],
    ];
    for (const [secondary, more, message] of cases) {
      const pipeline = await create([secondary], more);
      const infer = pipeline.start('infer');
      expect(await infer.exitCode(), infer.stderr).not.toBe(0);
      expect(infer.stderr).toContain(message);
    }
  });
});
