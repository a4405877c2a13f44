import { credentials } from '@grpc/grpc-js';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseConfig } from '../../lib/config.js';
import { ensureModel } from '../../models/fetch.js';
import { DetectionServiceClient, SubscribeRequest, type SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { hasTestData, SAMPLE_CLIP, TEST_DATA } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { readMotGroundTruth, recall, recallByOffset, type Box } from '../helpers/recall.js';
import { referenceRun } from '../helpers/reference_run.js';

/** Of 795; all of them take minutes. */
const FRAMES = 400;
/** YOLOX takes three times as long. */
const YOLOX_FRAMES = 350;
const SEQUENCE = join(TEST_DATA, 'tracking', 'PETS09-S2L1');
const YOLOX_FILE = join(TEST_DATA, 'models', 'yolox_nano_640.onnx');
const CACHE = parseConfig(`streams: {gate: {source: ${SAMPLE_CLIP}}}`, 'test').models.cache;

/** What a gRPC subscriber receives of one stream, until it has so many frames of the clip. */
async function subscribe(pipeline: Pipeline, frames: number): Promise<DetectionRecord[]> {
  const client = new DetectionServiceClient(pipeline.address('grpc'), credentials.createInsecure());
  onTestFinished(() => {
    client.close();
  });
  const records: DetectionRecord[] = [];
  const call = client.subscribe(SubscribeRequest.fromPartial({ streamIds: ['gate'], labels: ['person'] }));
  call.on('data', ({ record, missed }: SubscribeResponse) => {
    expect(missed).toEqual([]);
    if (record !== undefined) records.push(record);
  });
  call.on('error', () => {
    // The test ends the service under the subscription.
  });
  await pipeline.run('ingest');
  await eventually(
    () => `${frames} records; there are ${records.length}\n${pipeline.output()}`,
    () => records.length >= frames,
    { timeoutMs: 300_000, everyMs: 200 },
  );
  call.cancel();
  return records.slice(0, frames);
}

/** What was seen, by frame number, as it came out of the whole pipeline. */
async function boxesOfPipeline(model: string, frames: number): Promise<Box[][]> {
  const pipeline = await Pipeline.create({
    streams: { gate: { source: SAMPLE_CLIP, pace: 'fast', mode: 'lossless', model } },
  });
  await Promise.all([pipeline.run('sink'), pipeline.run('infer')]);
  const records = await subscribe(pipeline, frames);
  expect(records.map((record) => Number(record.seq))).toEqual(records.map((_, i) => i));
  expect(records.filter((r) => r.status !== InferenceStatus.INFERENCE_STATUS_INFERRED)).toEqual([]);
  expect(records).toHaveLength(frames);
  return records.map((record) =>
    record.detections.flatMap(({ box, predicted }) => (box === undefined || predicted ? [] : [box])),
  );
}

/** The same model over the same clip, in the plainest way. */
async function boxesOfReference(model: string, frames: number): Promise<Box[][]> {
  const modelFile = await ensureModel(model, { cacheDirectory: CACHE });
  return referenceRun(SAMPLE_CLIP, { model, modelFile, labels: ['person'], maxFrames: frames });
}

describe('detections that a gRPC subscriber receives', () => {
  it('are those of a plain run of the default model, frame by frame', async () => {
    const [found, reference] = [
      await boxesOfPipeline('ssdlite-mobilenet-v2', FRAMES),
      await boxesOfReference('ssdlite-mobilenet-v2', FRAMES),
    ];
    const { best, at } = recallByOffset(reference, found);
    expect(best).toBe(0);
    expect(at.get(0)).toBeGreaterThan(0.97);
    expect(recall(found, reference)).toBeGreaterThan(0.97);
    if (!hasTestData('tracking/PETS09-S2L1')) return;
    const truth = readMotGroundTruth(SEQUENCE);
    expect(Math.abs(recall(truth, found) - recall(truth, reference))).toBeLessThan(0.01);
  }, 400_000);

  it.skipIf(!hasTestData('models/yolox_nano_640.onnx'))(
    'find the people of the ground truth as well as a plain run of YOLOX does, in the right frame',
    async () => {
      const model = 'yolox-nano-640';
      await ensureModel(model, { cacheDirectory: CACHE, from: YOLOX_FILE });
      const truth = readMotGroundTruth(SEQUENCE).slice(0, YOLOX_FRAMES);
      const found = await boxesOfPipeline(model, YOLOX_FRAMES);
      const { best, at } = recallByOffset(truth, found);
      const reference = recall(truth, await boxesOfReference(model, YOLOX_FRAMES));
      expect(best).toBe(0);
      expect(Math.abs((at.get(0) ?? 0) - reference)).toBeLessThan(0.01);
      expect(at.get(0)).toBeGreaterThan(0.88);
    },
    600_000,
  );
});
