import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { isReady, untilServed, writeBoxModel } from '../helpers/live_models.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

interface Output {
  code: number;
  out: string;
  err: string;
}

interface Fixture {
  pipeline: Pipeline;
  folder: string;
  /** `framebus model …` in that folder, with the address of the worker. */
  model: (...args: string[]) => Promise<Output>;
  /** The same, while it runs. */
  start: (...args: string[]) => TestProcess;
}

async function create(): Promise<Fixture> {
  const folder = tempFolder();
  writeBoxModel(folder, 'first', 'person');
  writeBoxModel(folder, 'second', 'person', { side: 96, batch: 2 });
  writeBoxModel(folder, 'cats', 'cat');
  const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: { source: SAMPLE_CLIP, model: 'first', labels: ['person'] } } });
  await pipeline.run('infer');
  const address = pipeline.status('infer')?.addresses['grpc'] ?? '';
  const cli = path.resolve('cli/framebus.mjs');
  const start = (command = '', ...args: string[]): TestProcess => runNode([cli, 'model', command, '--address', address, ...args], { cwd: folder });
  const model = async (...args: string[]): Promise<Output> => {
    const process = start(...args);
    const code = await process.exitCode();
    return { code, out: process.stdout, err: process.stderr };
  };
  return { pipeline, folder, model, start };
}

describe('framebus model', () => {
  it('status shows what serves, swap changes it, load keeps, unload lets go', async () => {
    const { pipeline, folder, model, start } = await create();
    const first = await model('status');
    expect(first.code, first.err).toBe(0);
    expect(first.out).toMatch(/^infer-0\nname +state +manifest +generation +batch +streams +engine\nfirst +ready +its own +1 +4 +gate +onnxruntime/);

    const watch = start('status', '--watch', '--json');
    await watch.output(/"first"/);
    // A path is taken from the folder of the command.
    const swapped = await model('swap', 'first', 'second.yaml');
    expect(swapped.code, swapped.err).toBe(0);
    const second = path.join(folder, 'second.yaml');
    expect(swapped.out).toMatch(new RegExp(`^first: ready: ${second}, generation 2, onnxruntime .*, batch 2\n$`));
    expect(swapped.err).toMatch(/^first: ready, loading \/.*second\.yaml …$/m);
    await untilServed(pipeline, 'first', (one) => isReady(one) && one.manifest === second);

    const loaded = await model('load', 'extra', './second.yaml', '--json');
    expect(JSON.parse(loaded.out)).toMatchObject({ name: 'extra', manifest: second, pinned: true, state: 'MODEL_STATE_READY', generation: 1 });
    expect((await model('status')).out).toMatch(/^extra +ready +\/\S+second\.yaml +1 +2 +\(kept\)/m);
    expect(await model('unload', 'extra')).toMatchObject({ code: 0, out: 'extra: unloaded\n' });
    expect(JSON.parse((await model('status', '--json')).out)).toMatchObject({ instance: 'infer-0', models: [{ name: 'first', streamIds: ['gate'] }] });

    watch.kill('SIGINT');
    expect(await watch.exitCode()).toBe(0);
    const lines = watch.stdout.trim().split('\n').map((line) => JSON.parse(line) as { models: { name: string; loading?: string }[] });
    expect(lines.some(({ models }) => models.some(({ loading }) => loading === second))).toBe(true);
    expect(lines.some(({ models }) => models.some(({ name }) => name === 'extra'))).toBe(true);
  });

  it('says what is wrong, with exit codes', async () => {
    const { folder, model } = await create();
    const label = await model('swap', 'first', 'cats');
    expect(label).toMatchObject({ code: 78, out: '' });
    expect(label.err).toContain('streams.gate.labels: "person": model cats has no such label');
    expect((await model('status')).out).toContain('first: swap to cats failed, first goes on: ');
    expect(await model('swap', 'nobody', 'second')).toMatchObject({ code: 66 });
    expect(await model('swap', 'first', './nowhere.yaml')).toMatchObject({ code: 66 });
    writeFileSync(path.join(folder, 'second.yaml'), readFileSync(path.join(folder, 'second.yaml'), 'utf8').replaceAll(/(width|height): 96/g, '$1: 32'));
    const shape = await model('load', 'second');
    expect(shape.code).toBe(65);
    expect(shape.err).toContain('input "images" is float32 [2, 3, 96, 96], the manifest says float32 [2, 3, 32, 32]');
    const used = await model('unload', 'first');
    expect(used.code).toBe(1);
    expect(used.err).toContain('model "first": gate asks for it');
    expect(used.err).toContain('framebus stream set');
    expect(await model('swap', 'first', 'second', '--timeout', '0')).toMatchObject({ code: 64 });

    const alone = runNode(['cli/framebus.mjs', 'model', 'status', '--address', '127.0.0.1:9']);
    expect(await alone.exitCode()).toBe(69);
    expect(alone.stderr).toContain('infer at 127.0.0.1:9: connection refused');
    const config = path.join(folder, 'framebus.yaml');
    writeFileSync(config, 'infer: {grpc: {port: 9}}\nstreams: {gate: {source: /x}}\n');
    const configured = runNode(['cli/framebus.mjs', 'model', 'status', '-c', config]);
    expect(await configured.exitCode()).toBe(69);
    expect(configured.stderr).toContain('infer at 127.0.0.1:9');
    writeFileSync(config, 'infer: {grpc: {port: 0}}\nstreams: {gate: {source: /x}}\n');
    const any = runNode(['cli/framebus.mjs', 'model', 'status', '-c', config]);
    expect(await any.exitCode()).toBe(64);
    expect(any.stderr).toContain('infer.grpc.port is 0');
  });
});
