import { status as grpc, type ServiceError } from '@grpc/grpc-js';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ModelState } from '#proto/framebus/model/v1/served_model.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { decodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import { hasTestData, SAMPLE_CLIP } from '../helpers/data.js';
import { dataModels } from '../helpers/data_models.js';
import { eventually } from '../helpers/eventually.js';
import { lastingNatsClient } from '../helpers/nats.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';
import { StreamClient } from '../helpers/stream_client.js';

const SSD = 'ssdlite-mobilenet-v2';
const YOLOX = 'yolox-nano-416';
const INFERRED = InferenceStatus.INFERENCE_STATUS_INFERRED;
const SLOW = { timeoutMs: 100_000 };
const TEST_TIMEOUT_MS = 240_000;

/** All three services as real processes, and everything that reaches sink's subject. */
async function start(options: PipelineOptions): Promise<{
  pipeline: Pipeline;
  client: StreamClient;
  /** Results of stream gate, in the order of arrival. */
  results: ResultMessage[];
}> {
  const pipeline = await Pipeline.create(options);
  const results: ResultMessage[] = [];
  const nats = await lastingNatsClient(pipeline.nats.url);
  nats.subscribe(subjects.results('gate'), { callback: (_error, { data }) => results.push(decodeResult(data)) });
  await nats.flush();
  await pipeline.runAll();
  return { pipeline, results, client: new StreamClient(pipeline.status('ingest')?.addresses['grpc'] ?? '') };
}

const seqOf = ({ frame }: ResultMessage): number => Number(frame?.seq);

/** Results of frames that were decoded after what has been seen so far. */
async function later(results: readonly ResultMessage[], count: number, pipeline: Pipeline): Promise<ResultMessage[]> {
  const newest = Math.max(-1, ...results.map(seqOf));
  // One may have been on its way with what held before.
  const isLater = (result: ResultMessage): boolean => seqOf(result) > newest + 8 && result.status === INFERRED;
  return eventually(
    () => `${count} results after frame ${newest}; there are ${results.length}\n${pipeline.output()}`,
    () => {
      const found = results.filter(isLater);
      return found.length >= count && found;
    },
    SLOW,
  );
}

const labelsIn = (results: readonly ResultMessage[]): Set<string> => new Set(results.flatMap(({ detections }) => detections.map(({ label }) => label)));

describe('with workers', { timeout: TEST_TIMEOUT_MS }, () => {
  test('labels, thresholds and region hold for the frames that follow', async () => {
    const { client, results, pipeline } = await start({
      streams: { gate: { source: SAMPLE_CLIP, loop: true, min_confidence: 0.2 } },
    });
    const before = await later(results, 20, pipeline);
    const confidences = (of: readonly ResultMessage[]): number[] => of.flatMap(({ detections }) => detections.map(({ confidence }) => confidence));
    expect(labelsIn(before)).toContain('person');
    expect(Math.min(...confidences(before))).toBeLessThan(0.45);

    await client.update('gate', { labels: ['person', 'bicycle'], thresholds: { person: 0.5 } });
    const sure = await later(results, 20, pipeline);
    expect(labelsIn(sure).has('person')).toBe(true);
    expect([...labelsIn(sure)].every((label) => label === 'person' || label === 'bicycle')).toBe(true);
    const people = sure.flatMap(({ detections }) => detections.filter(({ label }) => label === 'person'));
    expect(Math.min(...people.map(({ confidence }) => confidence))).toBeGreaterThan(0.5);

    await client.update('gate', { labels: ['person'], thresholds: {}, minConfidence: 0.3, region: { x: 0.5, y: 0, width: 0.5, height: 1 } });
    const right = await later(results, 20, pipeline);
    const boxes = right.flatMap(({ detections }) => detections.flatMap(({ box }) => box ?? []));
    expect(boxes.length).toBeGreaterThan(0);
    // The clip is 768 wide; what the network is not shown it cannot see.
    expect(Math.min(...boxes.map(({ x }) => x))).toBeGreaterThanOrEqual(383.9);

    await client.reset('gate');
    const after = await later(results, 20, pipeline);
    const lefts = after.flatMap(({ detections }) => detections.flatMap(({ box }) => box?.x ?? []));
    expect(Math.min(...lefts)).toBeLessThan(380);
  });

  test.runIf(hasTestData('models'))('another model takes over between two frames, and every frame is looked at once', async () => {
    const { client, results, pipeline } = await start({
      models: { directory: dataModels() },
      ingest: { in_flight: 4 },
      streams: { gate: { source: SAMPLE_CLIP, mode: 'lossless', model: SSD } },
    });
    await eventually('results of the first', () => results.length > 20, SLOW);
    const changed = await client.update('gate', { model: YOLOX, labels: ['person'] });
    expect(changed).toMatchObject({ changed: ['model', 'labels'], settings: { model: YOLOX } });
    // Up to some frames after the first one that the new model has looked at.
    const upTo = (): number => Math.min(...results.flatMap((result) => (result.model === YOLOX ? seqOf(result) : []))) + 20;
    const known = await eventually(
      () => `all results up to frame ${upTo()}; there are ${results.length}\n${pipeline.output()}`,
      () => {
        const found = results.filter((result) => seqOf(result) < upTo());
        return found.length >= upTo() && found;
      },
      SLOW,
    );
    const inOrder = known.toSorted((one, other) => seqOf(one) - seqOf(other));
    expect(inOrder.map(seqOf)).toEqual(Array.from({ length: upTo() }, (_, seq) => seq));
    expect(new Set(inOrder.map(({ status }) => status))).toEqual(new Set([INFERRED]));
    const models = inOrder.map(({ model }) => model);
    const first = upTo() - 20;
    expect(first).toBeGreaterThan(20);
    expect(new Set(models.slice(0, first))).toEqual(new Set([SSD]));
    expect(new Set(models.slice(first))).toEqual(new Set([YOLOX]));
    // The one that nobody asks for any more is let go when its frames have stopped coming.
    await eventually(
      () => `only ${YOLOX} is served; served: ${JSON.stringify(pipeline.status('infer')?.models.map(({ name }) => name))}`,
      () => pipeline.status('infer')?.models.every(({ name }) => name === YOLOX) === true,
      SLOW,
    );
  });

  test.runIf(hasTestData('models'))('a model that no worker can load leaves all as it is, and can be tried again', async () => {
    const directory = dataModels();
    const manifest = join(directory, `${YOLOX}.yaml`);
    const good = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, good.replace(/^( {2}sha256: )\S+/m, `$1${'f'.repeat(64)}`));
    const { client, results, pipeline } = await start({
      models: { directory },
      streams: { gate: { source: SAMPLE_CLIP, loop: true, model: SSD } },
    });
    const before = await client.update('gate', { interval: 1 });
    const error = await client.update('gate', { model: YOLOX, interval: 4 }).then(
      () => null,
      (reason: unknown) => reason as ServiceError,
    );
    expect(error?.code, error?.details).toBe(grpc.FAILED_PRECONDITION);
    expect(error?.details).toMatch(new RegExp(`stream "gate": no worker can load model "${YOLOX}": infer-0: .*has SHA-256 .*, the manifest says f{64}`));
    expect(await client.get('gate')).toMatchObject({ settings: before.settings, changed: ['interval'] });
    const now = await later(results, 10, pipeline);
    expect(new Set(now.map(({ model }) => model))).toEqual(new Set([SSD]));
    expect(pipeline.status('infer')?.models.find(({ name }) => name === SSD)?.state).toBe(ModelState.MODEL_STATE_READY);

    writeFileSync(manifest, good);
    expect(await client.update('gate', { model: YOLOX })).toMatchObject({ changed: ['model', 'interval'] });
    const next = await later(results, 5, pipeline);
    expect(new Set(next.map(({ model }) => model))).toEqual(new Set([YOLOX]));
  });

  test('a stream without a model gets one, and both services find it again after kill -9', async () => {
    const { client, results, pipeline } = await start({
      streams: { gate: { source: SAMPLE_CLIP, loop: true, model: null }, other: { source: SAMPLE_CLIP, loop: true, model: null } },
    });
    await eventually('frames', () => results.length > 3);
    expect(pipeline.status('infer')?.models).toEqual([]);
    expect(await client.update('gate', { model: SSD, labels: ['person'] })).toMatchObject({ changed: ['model', 'labels'] });
    expect(labelsIn(await later(results, 10, pipeline))).toEqual(new Set(['person']));
    for (const name of ['infer-0', 'ingest-0']) {
      const dead = pipeline.process(name);
      dead.kill('SIGKILL');
      await dead.exitCode();
    }
    results.length = 0;
    await pipeline.run('infer');
    await pipeline.run('ingest');
    expect(labelsIn(await later(results, 10, pipeline))).toEqual(new Set(['person']));
    expect(pipeline.status('infer')?.models).toMatchObject([{ name: SSD, streamIds: ['gate'] }]);
  });
});
