import { renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ModelState } from '#proto/framebus/model/v1/served_model.js';
import { contentOf } from '../../../services/infer/model_files.js';
import { ModelWatch, type WatchedModel } from '../../../services/infer/model_watch.js';
import { eventually } from '../../helpers/eventually.js';
import { captureLog } from '../../helpers/log.js';
import { tempFolder } from '../../helpers/temp.js';

const POLL_MS = 20;
const STABLE_MS = 60;
/** Long enough for several looks. */
const SOME_LOOKS_MS = 250;

/** A model of two files, and how often it was loaded. */
async function create() {
  const folder = tempFolder();
  const files = ['model.yaml', 'model.onnx'].map((name) => path.join(folder, name));
  const [manifest = '', onnx = ''] = files;
  for (const file of files) writeFileSync(file, 'first');
  const loads: string[] = [];
  let fails = false;
  const model: { -readonly [K in keyof WatchedModel]: WatchedModel[K] } = {
    name: 'model',
    manifest: 'model',
    files: { files, content: await contentOf(files) },
    generations: 1,
    state: ModelState.MODEL_STATE_READY,
    swap: async () => {
      const content = await contentOf(files);
      loads.push(content);
      if (fails) throw new Error('broken');
      model.files = { files, content };
      model.generations += 1;
    },
  };
  const watch = new ModelWatch({ models: () => [model], directory: folder, log: captureLog().log, pollMs: POLL_MS, stableMs: STABLE_MS });
  watch.start();
  onTestFinished(() => watch.close());
  return {
    manifest,
    onnx,
    model,
    loads,
    fail: (now: boolean) => {
      fails = now;
    },
  };
}

describe('ModelWatch', () => {
  it('loads anew what has changed, once, also when another file was put in its place', async () => {
    const { manifest, onnx, loads } = await create();
    await sleep(SOME_LOOKS_MS);
    expect(loads).toEqual([]);
    writeFileSync(manifest, 'second');
    await eventually('a load', () => loads.length === 1);
    writeFileSync(`${onnx}.part`, 'second');
    renameSync(`${onnx}.part`, onnx);
    await eventually('another', () => loads.length === 2);
    await sleep(SOME_LOOKS_MS);
    expect(loads).toHaveLength(2);
  });

  it('leaves alone what was written anew with the same in it', async () => {
    const { manifest, onnx, loads } = await create();
    writeFileSync(manifest, 'first');
    utimesSync(onnx, new Date(), new Date());
    await sleep(SOME_LOOKS_MS);
    expect(loads).toEqual([]);
  });

  it('waits while a file is being written', async () => {
    const { onnx, loads } = await create();
    for (let part = 0; part < 20; part++) {
      writeFileSync(onnx, 'x'.repeat(part * 100));
      await sleep(STABLE_MS / 4);
    }
    writeFileSync(onnx, 'whole');
    await eventually('a load', () => loads.length > 0);
    expect(loads).toHaveLength(1);
    await sleep(SOME_LOOKS_MS);
    expect(loads).toHaveLength(1);
  });

  it('tries what is broken once, and again when it was mended or has come back', async () => {
    const { manifest, loads, fail, model } = await create();
    fail(true);
    writeFileSync(manifest, 'broken');
    await eventually('a try', () => loads.length === 1);
    await sleep(SOME_LOOKS_MS);
    expect(loads).toHaveLength(1);
    rmSync(manifest);
    await eventually('another', () => loads.length === 2);
    fail(false);
    writeFileSync(manifest, 'mended');
    await eventually('a load', () => loads.length === 3);
    expect(model.generations).toBe(2);
  });

  it('sees what has changed while a model was being loaded', async () => {
    const { manifest, model, loads } = await create();
    const before = model.files;
    writeFileSync(manifest, 'second');
    // Loaded by somebody else, of what was there before.
    model.files = before;
    model.generations += 1;
    await eventually('a load', () => loads.length === 1);
  });

  it('looks at the manifest of a model that could not be loaded, not at one that is being loaded', async () => {
    const { manifest, model, loads } = await create();
    model.files = null;
    model.generations = 0;
    model.state = ModelState.MODEL_STATE_LOADING;
    await sleep(SOME_LOOKS_MS);
    expect(loads).toEqual([]);
    model.state = ModelState.MODEL_STATE_FAILED;
    await eventually('one more try', () => loads.length === 1);
    model.files = null;
    model.generations = 0;
    await sleep(SOME_LOOKS_MS);
    writeFileSync(manifest, 'mended');
    await eventually('a load', () => loads.length >= 2);
  });
});
