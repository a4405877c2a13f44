import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelClient } from '../../cli/model/model_client.js';
import { codeOf, messageOf } from '../../lib/errors.js';
import { decodeDesiredModel, encodeDesiredModel } from '../../lib/messages.js';
import { desiredModel } from '../../lib/subjects.js';
import { ModelState } from '#proto/framebus/model/v1/served_model.js';
import type { WatchResponse } from '#proto/framebus/model/v1/model_service.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { collectResults, desiredState, inferredOf, isReady, modelClient, PATIENCE, untilServed, writeBoxModel } from '../helpers/live_models.js';
import { Pipeline } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const LIMITS = { timeoutMs: 90_000 };
const LIVE = { source: SAMPLE_CLIP, loop: true, model: 'first' };

/** Streams ask for `first`; `second` and `third` could take its place. */
function models(): string {
  const folder = tempFolder();
  writeBoxModel(folder, 'first', 'person');
  writeBoxModel(folder, 'second', 'person', { side: 96, batch: 2 });
  writeBoxModel(folder, 'third', 'person', { side: 32 });
  return folder;
}

const failure = (call: Promise<unknown>): Promise<{ code: string | undefined; message: string }> =>
  call.then(
    () => ({ code: undefined, message: '' }),
    (error: unknown) => ({ code: codeOf(error), message: messageOf(error) }),
  );

/** Everything that a watch tells, until the test ends. */
function watching(client: ModelClient): { told: WatchResponse[]; ended: Promise<string | undefined>; stop: () => void } {
  const told: WatchResponse[] = [];
  const stop = new AbortController();
  const ended = client.watch(stop.signal, (response) => told.push(response)).then((error) => error?.code);
  return { told, ended, stop: () => stop.abort() };
}

describe('ModelService', () => {
  it('loads a model and keeps it, shows it, and lets it go', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE } });
    await pipeline.run('infer');
    const client = modelClient(pipeline);
    const { told, ended } = watching(client);
    await eventually('the state at first', () => told.length === 1);
    expect(told[0]?.models.map(({ name, streamIds }) => [name, streamIds])).toEqual([['first', ['gate']]]);

    const { model } = await client.load('extra', path.join(folder, 'second.yaml'), LIMITS);
    expect(model).toMatchObject({ name: 'extra', manifest: path.join(folder, 'second.yaml'), pinned: true, generation: 1, streamIds: [], maxBatch: 2 });
    expect(model?.engine).toContain('onnxruntime');
    // Once more changes nothing.
    expect((await client.load('extra', '', LIMITS)).model).toEqual(model);
    const { instance, models: served } = await client.list();
    expect(instance).toBe('infer-0');
    expect(served.map(({ name }) => name)).toEqual(['extra', 'first']);

    const used = await failure(client.unload('first', LIMITS));
    expect(used.code).toBe('MODEL_IN_USE');
    expect(used.message).toContain('model "first": gate asks for it');
    await client.unload('extra', LIMITS);
    await client.unload('extra', LIMITS);
    expect((await client.list()).models.map(({ name }) => name)).toEqual(['first']);

    await eventually('the watch has seen it go', () => told.at(-1)?.models.length === 1 && told.length > 2);
    const extra = told.flatMap(({ models: all }) => all.filter(({ name }) => name === 'extra'));
    expect(extra.map(({ state }) => state)).toContain(ModelState.MODEL_STATE_READY);
    // Changes that come at once are one message, but none says what the one before has said.
    for (const [index, one] of told.entries()) expect(one).not.toEqual(told[index - 1]);
    pipeline.process('infer-0').kill('SIGTERM');
    expect(await ended).toBe('SHUTTING_DOWN');
    expect(await pipeline.process('infer-0').exitCode()).toBe(0);
  });

  it('refuses what cannot be, and nothing is left of it', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE } });
    await pipeline.run('infer');
    const client = modelClient(pipeline);
    expect((await failure(client.load('no such name', '', LIMITS))).code).toBe('OPTION_INVALID');
    expect((await failure(client.load('extra', 'folder/second.yaml', LIMITS))).message).toContain('neither a name nor an absolute path');
    expect((await failure(client.load('nobody', '', LIMITS))).code).toBe('MODEL_NOT_FOUND');
    expect((await failure(client.swap('nobody', 'second', LIMITS))).message).toContain('model "nobody" is not served here; served: first');
    writeFileSync(path.join(folder, 'second.onnx'), 'no model at all');
    expect((await failure(client.load('second', '', LIMITS))).code).toBeDefined();
    expect((await client.list()).models.map(({ name }) => name)).toEqual(['first']);
    expect((await (await desiredState(pipeline)).get(desiredModel('second'))).value).toBeNull();
    // Who does not wait for it any more does not get it.
    expect((await failure(client.load('third', '', { timeoutMs: 1 }))).code).toBe('DEADLINE');
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect((await client.list()).models.map(({ name }) => name)).toEqual(['first']);
  });

  it('lets one of two writers win, and both workers have what the winner wrote', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE } });
    await Promise.all([pipeline.run('infer', 'infer-a'), pipeline.run('infer', 'infer-b')]);
    const [a, b] = [modelClient(pipeline, 'infer-a'), modelClient(pipeline, 'infer-b')];
    const outcomes = await Promise.all([failure(a.swap('first', 'second', LIMITS)), failure(b.swap('first', 'third', LIMITS))]);
    const state = await desiredState(pipeline);
    const { value } = await state.get(desiredModel('first'));
    const { manifest } = decodeDesiredModel(value ?? new Uint8Array());
    expect(['second', 'third']).toContain(manifest);
    // Either one of them has lost, or one came after the other.
    for (const { code } of outcomes) expect([undefined, 'STATE_CONFLICT']).toContain(code);
    expect(outcomes.some(({ code }) => code === undefined)).toBe(true);
    for (const worker of ['infer-a', 'infer-b']) await untilServed(pipeline, 'first', (model) => isReady(model) && model.manifest === manifest && model.loading === '', worker);
  });
});

describe('several workers', () => {
  it('follow the one that was asked; one that comes later finds the change', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE, door: LIVE } });
    const results = await collectResults(pipeline);
    await Promise.all([pipeline.run('infer', 'infer-a'), pipeline.run('infer', 'infer-b'), pipeline.run('sink')]);
    await pipeline.run('ingest');
    const a = modelClient(pipeline, 'infer-a');
    await a.swap('first', 'second', LIMITS);
    const followed = await untilServed(pipeline, 'first', ({ manifest }) => manifest === 'second', 'infer-b');
    expect(followed).toMatchObject({ generation: 2, reason: '' });
    // The one that was asked does not follow itself.
    expect((await a.list()).models[0]?.generation).toBe(2);

    await pipeline.run('infer', 'infer-c');
    expect(await untilServed(pipeline, 'first', isReady, 'infer-c')).toMatchObject({ manifest: 'second', generation: 1 });
    // The same manifest anew is followed as well.
    await modelClient(pipeline, 'infer-c').swap('first', '', LIMITS);
    for (const [worker, generation] of [['infer-a', 3], ['infer-b', 3], ['infer-c', 2]] as const) {
      await untilServed(pipeline, 'first', (model) => model.generation === generation, worker);
    }
    const before = results.length;
    await eventually(() => `more results\n${pipeline.output()}`, () => inferredOf(results.slice(before), 'gate').length > 10, PATIENCE);
    expect(new Set(inferredOf(results.slice(before + 5), 'gate').map(({ model }) => model))).toEqual(new Set(['second']));

    // Loaded on all; gone on all.
    await a.load('third', '', LIMITS);
    for (const worker of ['infer-b', 'infer-c']) await untilServed(pipeline, 'third', (model) => isReady(model) && model.pinned, worker);
    await a.unload('third', LIMITS);
    const has = (worker: string): boolean => pipeline.status('infer', worker)?.models.some(({ name }) => name === 'third') ?? false;
    // Kept for a while, should frames be on their way.
    await eventually('nobody has it', () => !has('infer-b') && !has('infer-c'), PATIENCE);
  });

  it('where one cannot follow, the model before goes on there and says why; the next change heals it', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE } });
    const other = tempFolder();
    for (const file of ['first.yaml', 'first.onnx', 'third.yaml', 'third.onnx']) copyFileSync(path.join(folder, file), path.join(other, file));
    await pipeline.run('infer', 'infer-a');
    await pipeline.run('infer', 'infer-b', pipeline.variant({ models: { directory: other } }));
    const a = modelClient(pipeline, 'infer-a');
    await a.swap('first', 'second', LIMITS);
    const left = await untilServed(pipeline, 'first', ({ reason }) => reason !== '', 'infer-b');
    expect(left).toMatchObject({ manifest: 'first', generation: 1, state: ModelState.MODEL_STATE_READY });
    expect(left.reason).toContain('swap to second failed, first goes on: model "second": there is no such manifest');
    expect(pipeline.process('infer-b').stderr).toContain('the model could not be changed');
    await a.swap('first', 'third', LIMITS);
    await untilServed(pipeline, 'first', (model) => model.manifest === 'third' && model.reason === '', 'infer-b');
  });

  it('a change that cannot be loaded any more does not keep a worker from starting', async () => {
    const folder = models();
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: LIVE } });
    const state = await desiredState(pipeline);
    const gone = path.join(folder, 'gone.yaml');
    await state.put(desiredModel('first'), encodeDesiredModel({ manifest: gone, pinned: false }), null);
    await state.put(desiredModel('third'), encodeDesiredModel({ manifest: 'third', pinned: true }), null);
    const infer = pipeline.start('infer');
    const failed = await untilServed(pipeline, 'first', ({ state: one }) => one === ModelState.MODEL_STATE_FAILED);
    expect(failed.reason).toContain(`model manifest ${gone}: there is no such file`);
    expect(await untilServed(pipeline, 'third', isReady)).toMatchObject({ pinned: true, generation: 1 });
    expect(infer.child.exitCode).toBeNull();
    // Put right by hand: the files are watched although nothing could be loaded.
    writeFileSync(path.join(folder, 'gone.onnx'), readFileSync(path.join(folder, 'first.onnx')));
    writeFileSync(gone, readFileSync(path.join(folder, 'first.yaml'), 'utf8').replaceAll('first', 'gone'));
    await untilServed(pipeline, 'first', (model) => isReady(model) && model.manifest === gone);
    await infer.output(/infer-0 running/);
  });
});
