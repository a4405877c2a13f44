import { describe, expect, it } from 'vitest';
import type { LiveSettings } from '../../lib/stream_settings.js';
import { decodeRecord } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import type { BoundingBox, Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { collectResults, desiredState, inferredOf, PATIENCE, servedBy, storeSettings, untilServed, writeBoxModel } from '../helpers/live_models.js';
import { natsClient } from '../helpers/nats.js';
import { Pipeline } from '../helpers/pipeline.js';
import { FIXED_BOXES, fixedBoxes, writeSmallModel } from '../helpers/small_model.js';
import { tempFolder } from '../helpers/temp.js';

/** Size of the sample clip's frames. */
const [WIDTH, HEIGHT] = [768, 576];
const LIVE = { source: SAMPLE_CLIP, loop: true };

/** In a picture of 64 × 64: a person in the middle, and a car of 8 × 8 at the right. */
function writeScene(folder: string, name: string): void {
  const manifest = { ...FIXED_BOXES, labels: { 0: 'person', 1: 'car' } };
  writeSmallModel(folder, name, manifest, (graph, images) => fixedBoxes(graph, images, [[16, 16, 48, 48, 0.8, 0], [52, 4, 60, 12, 0.5, 1]]), {
    resize: 'stretch',
  });
}

interface Fixture {
  pipeline: Pipeline;
  results: ResultMessage[];
  change: (streamId: string, settings: Partial<LiveSettings>) => Promise<void>;
  /** Waits until the newest frames of a stream are seen as expected; what is seen then. */
  until: (streamId: string, expected: (latest: ResultMessage) => boolean) => Promise<ResultMessage>;
}

async function create(streams: Record<string, Record<string, unknown>>, models: (folder: string) => void): Promise<Fixture> {
  const folder = tempFolder();
  models(folder);
  const pipeline = await Pipeline.create({ models: { directory: folder }, streams });
  const results = await collectResults(pipeline);
  await pipeline.runAll();
  const state = await desiredState(pipeline);
  const until = (streamId: string, expected: (latest: ResultMessage) => boolean): Promise<ResultMessage> =>
    eventually(
      () => `what ${streamId} is to see; it sees ${JSON.stringify(inferredOf(results, streamId).at(-1)?.detections)}\n${pipeline.output()}`,
      () => {
        const latest = inferredOf(results, streamId).slice(-3);
        return latest.length === 3 && latest.every(expected) && latest[2];
      },
      PATIENCE,
    );
  return { pipeline, results, until, change: (streamId, settings) => storeSettings(state, streamId, settings) };
}

const labelsOf = ({ detections }: ResultMessage): string[] => detections.map(({ label }) => label).toSorted();
const sees =
  (...labels: string[]) =>
  (result: ResultMessage): boolean =>
    labelsOf(result).join() === labels.join();

const rounded = (box: BoundingBox | undefined): number[] => [box?.x, box?.y, box?.width, box?.height].map((value) => Math.round(value ?? NaN));

describe('settings of a stream that were changed while it runs', () => {
  it('leave to the tracker what is less sure than they ask for: a known object stays, others are in no record', async () => {
    const { pipeline, change, until } = await create({ gate: { ...LIVE, model: 'scene' } }, (folder) => writeScene(folder, 'scene'));
    let latest: Detection[] = [];
    const client = await natsClient(pipeline.nats.url, 'records');
    client.subscribe(subjects.detections('gate'), {
      callback: (_error, message) => {
        const { status, detections } = decodeRecord(message.data);
        if (status === InferenceStatus.INFERENCE_STATUS_INFERRED) latest = detections;
      },
    });
    const tracked = await eventually(() => `a tracked person\n${pipeline.output()}`, () => latest.find(({ trackId }) => trackId !== 0n), PATIENCE);
    expect(tracked.label).toBe('person');
    expect(latest.map(({ label }) => label).toSorted()).toEqual(['car', 'person']);
    await change('gate', { minConfidence: 0.9 });
    const { weakDetections } = await until('gate', sees());
    expect(weakDetections.map(({ label }) => label).toSorted()).toEqual(['car', 'person']);
    await eventually('the person alone', () => latest.length === 1 && latest[0]?.trackId === tracked.trackId, PATIENCE);
    expect(latest[0]?.confidence).toBeCloseTo(0.8);
    // A label that is not wanted is not for the tracker either.
    await change('gate', { labels: ['car'], minConfidence: 0.9 });
    await until('gate', (result) => result.weakDetections.length === 1 && result.weakDetections[0]?.label === 'car');
    await eventually('nothing in the records', () => latest.length === 0, PATIENCE);
  });

  it('hold in the worker: labels, thresholds, region; the other stream is left alone; a new worker finds them', async () => {
    const { pipeline, results, change, until } = await create({ gate: { ...LIVE, model: 'scene' }, door: { ...LIVE, model: 'scene' } }, (folder) => writeScene(folder, 'scene'));
    await until('gate', sees('car', 'person'));
    await change('gate', { labels: ['car'] });
    await until('gate', sees('car'));
    await change('gate', { minConfidence: 0.6 });
    await until('gate', sees('person'));
    await change('gate', { minConfidence: 0.9, thresholds: { car: 0.4 } });
    await until('gate', sees('car'));

    // The right half: the same picture for the network, of half as much of the frame.
    await change('gate', { region: { x: 0.5, y: 0, width: 0.5, height: 1 } });
    const within = await until('gate', (result) => sees('car', 'person')(result) && rounded(result.detections[0]?.box)[2] === WIDTH / 4);
    const boxes = new Map(within.detections.map(({ label, box }) => [label, rounded(box)]));
    expect(boxes.get('person')).toEqual([WIDTH / 2 + WIDTH / 8, HEIGHT / 4, WIDTH / 4, HEIGHT / 2]);
    // 8 of 64 pixels are 48 of the frame where they were 96: it sees what is half as large.
    expect(boxes.get('car')).toEqual([WIDTH / 2 + (52 / 128) * WIDTH, (4 / 64) * HEIGHT, (8 / 128) * WIDTH, (8 / 64) * HEIGHT]);
    for (const { detections } of inferredOf(results, 'door')) expect(detections.map(({ box }) => rounded(box)[2]).toSorted()).toEqual([WIDTH / 2, WIDTH / 8].toSorted());

    // A worker that comes back has it from its first frame on.
    pipeline.process('infer-0').kill('SIGKILL');
    await pipeline.process('infer-0').exitCode();
    const before = results.length;
    await pipeline.run('infer', 'infer-1');
    await eventually('frames of the new worker', () => inferredOf(results.slice(before), 'gate').length > 5, PATIENCE);
    for (const result of inferredOf(results.slice(before), 'gate')) expect(result.detections.every(({ box }) => (box?.x ?? 0) >= WIDTH / 2)).toBe(true);
  });

  it('a label that the model does not know changes nothing, and the model says so', async () => {
    const { pipeline, results, change, until } = await create({ gate: { ...LIVE, model: 'scene' } }, (folder) => writeScene(folder, 'scene'));
    await change('gate', { labels: ['car'] });
    await until('gate', sees('car'));
    await change('gate', { labels: ['zebra'] });
    const told = await untilServed(pipeline, 'scene', ({ reason }) => reason !== '');
    expect(told.reason).toContain('streams.gate.labels: "zebra": model scene has no such label');
    const before = results.length;
    await eventually('more frames', () => inferredOf(results.slice(before), 'gate').length > 5, PATIENCE);
    for (const result of inferredOf(results.slice(before), 'gate')) expect(labelsOf(result)).toEqual(['car']);
    await change('gate', { labels: ['person'] });
    await until('gate', sees('person'));
    await untilServed(pipeline, 'scene', ({ reason }) => reason === '');
  });

  it('another model: it is loaded while the one before goes on, which is let go when nobody asks for it', async () => {
    const { pipeline, results, change } = await create({ gate: { ...LIVE, model: 'scene' }, door: { ...LIVE, model: 'other' }, yard: { ...LIVE, model: 'scene' } }, (folder) => {
      writeScene(folder, 'scene');
      writeBoxModel(folder, 'other', 'person', { side: 96, batch: 2 });
      writeBoxModel(folder, 'third', 'person', { side: 32 });
    });
    const models = (id: string): string[] => inferredOf(results, id).map(({ model }) => model);
    const modelIs = (id: string, model: string): Promise<boolean> =>
      eventually(() => `${model} for ${id}\n${pipeline.output()}`, () => models(id).at(-1) === model, PATIENCE);
    await modelIs('gate', 'scene');
    await modelIs('door', 'other');
    await change('gate', { model: 'other' });
    await modelIs('gate', 'other');
    await untilServed(pipeline, 'scene', ({ streamIds }) => streamIds.join() === 'yard');
    await change('yard', { model: 'third' });
    await modelIs('yard', 'third');
    await eventually(
      () => `scene is gone\n${pipeline.output()}`,
      () => servedBy(pipeline, 'scene') === undefined && servedBy(pipeline, 'third') !== undefined,
      PATIENCE,
    );
    // Once each, and no frame failed because of it.
    for (const [id, expected] of [['gate', ['scene', 'other']], ['door', ['other']], ['yard', ['scene', 'third']]] as const) {
      expect(models(id).filter((model, index, all) => model !== all[index - 1]), id).toEqual(expected);
    }
    expect(results.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_FAILED)).toEqual([]);
    await change('gate', { model: null });
    await untilServed(pipeline, 'other', ({ streamIds }) => streamIds.join() === 'door');
  });
});
