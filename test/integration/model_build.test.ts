import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sha256Of } from '../../models/fetch.js';
import { eventually } from '../helpers/eventually.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

/**
 * trtexec is the vendor's program and needs a GPU: this script stands in for it. It writes what
 * trtexec writes, and does what TRTEXEC_MODE says: well, fail, hang, or no plan.
 */
const TRTEXEC = `#!${process.execPath}
import { writeFileSync } from 'node:fs';
const given = process.argv.slice(2);
const say = (text, severity = 'I') => process.stdout.write('[06/12/2024-10:11:12] [' + severity + '] ' + text + '\\n');
if (given.includes('--help')) {
  process.stdout.write('  --onnx=<file>\\n  --fp16\\n  --skipInference\\n  --versionCompatible\\n');
  process.exit(0);
}
const value = (name) => given.find((one) => one.startsWith('--' + name + '='))?.split('=')[1];
say('Selected Device: NVIDIA Test');
say('Compute Capability: 9.0');
say('TensorRT version: 10.3.0');
say('Start parsing network model.');
const mode = process.env.TRTEXEC_MODE ?? 'well';
if (mode === 'fail') {
  say('[TRT] ModelImporter.cpp: No importer registered for op: Foo', 'E');
  process.exit(1);
}
say('Finished parsing network model. Parse time: 0.1');
if (mode !== 'no plan') writeFileSync(value('saveEngine'), JSON.stringify(given));
if (mode === 'hang') {
  process.on('SIGTERM', () => undefined);
  say('waiting as ' + process.pid);
  setInterval(() => undefined, 1000);
} else {
  say('Engine built in 1.5 sec.');
  process.exit(0);
}
`;

interface Workplace {
  config: string;
  trtexec: string;
  cache: string;
  models: string;
  /** What lies beside the model, but for itself and its manifest. */
  written(): string[];
}

function workplace(): Workplace {
  const folder = tempFolder();
  const models = path.join(folder, 'models');
  mkdirSync(path.join(folder, 'bin'));
  mkdirSync(models);
  const trtexec = path.join(folder, 'bin', 'trtexec');
  writeFileSync(trtexec, TRTEXEC);
  chmodSync(trtexec, 0o755);
  writeFileSync(path.join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(path.join(models, 'tiny.onnx'), 'a model');
  const input = { name: 'images', width: 8, height: 4, layout: 'nchw', resize: 'stretch', color_order: 'rgb', mean: [0, 0, 0], scale: [1, 1, 1], dtype: 'float32' };
  const manifest = { name: 'tiny', licence: 'MIT', task: 'raw', source: { file: 'tiny.onnx' }, input, decoder: { kind: 'raw' }, batch: 'dynamic' };
  writeFileSync(path.join(models, 'tiny.yaml'), stringify(manifest));
  const config = path.join(folder, 'framebus.yaml');
  writeFileSync(config, 'models: {directory: models, cache: cache}\ninfer: {batch: {size: 6}}\nstreams: {gate: {source: /x}}\n');
  const written = (): string[] => readdirSync(models).filter((name) => name !== 'tiny.onnx' && name !== 'tiny.yaml').toSorted();
  return { config, trtexec, cache: path.join(folder, 'cache'), models, written };
}

function build(place: Workplace, args: readonly string[] = [], env: Record<string, string> = {}): TestProcess {
  const folders = `${path.dirname(place.trtexec)}${path.delimiter}${process.env['PATH'] ?? ''}`;
  const all = ['cli/framebus.mjs', 'model', 'build', 'tiny', '--config', place.config, ...args];
  return runNode(all, { env: { PATH: folders, FRAMEBUS_CACHE: '', ...env } });
}

describe('framebus model build', () => {
  it('writes the plan, and what it is for, beside the model', async () => {
    const place = workplace();
    const process = build(place, ['--precision', 'fp16']);
    expect(await process.exitCode(), process.stderr).toBe(0);
    const plan = 'tiny.trt10.3.0-sm90-fp16-b6.plan';
    expect(place.written()).toEqual([plan, `${plan}.json`]);
    const given = JSON.parse(readFileSync(path.join(place.models, plan), 'utf8')) as string[];
    expect(given).toContain(`--onnx=${path.join(place.models, 'tiny.onnx')}`);
    expect(given).toContain('--minShapes=images:1x3x4x8');
    expect(given).toContain('--maxShapes=images:6x3x4x8');
    expect(given).toContain('--fp16');
    const sidecar = JSON.parse(readFileSync(path.join(place.models, `${plan}.json`), 'utf8')) as Record<string, unknown>;
    expect(sidecar).toMatchObject({
      ...{ format: 1, tensorrt: '10.3.0', compute_capability: '9.0', gpu: 'NVIDIA Test', precision: 'fp16' },
      ...{ min_batch: 1, opt_batch: 6, max_batch: 6, version_compatible: false },
      onnx_sha256: await sha256Of(path.join(place.models, 'tiny.onnx')),
      plan_sha256: await sha256Of(path.join(place.models, plan)),
    });
    expect(process.stdout).toContain(plan);
    expect(process.stdout).toContain('TensorRT 10.3.0, NVIDIA Test (9.0), fp16, batches of 1 to 6');
    // Without a terminal, a line a phase.
    expect(process.stderr).toBe('tiny: starting\ntiny: reading the model\ntiny: trying kernels\ntiny: saving\n');
  });

  it('takes batch, path and program from its options, and tells in JSON', async () => {
    const place = workplace();
    const out = path.join(tempFolder(), 'my.plan');
    const process = build(place, ['--batch', '2', '--trtexec', place.trtexec, '--out', out, '--version-compatible', '--json'], { PATH: '/nowhere' });
    expect(await process.exitCode(), process.stderr).toBe(0);
    expect(JSON.parse(process.stdout)).toMatchObject({ model: 'tiny', plan: out, max_batch: 2, precision: 'fp32', version_compatible: true });
    expect(existsSync(`${out}.json`)).toBe(true);
    expect(place.written()).toEqual([]);
  });

  it('says what is missing, and what trtexec complains of; nothing is left', async () => {
    const place = workplace();
    const missing = build(place, [], { PATH: '/nowhere' });
    expect(await missing.exitCode()).toBe(69);
    expect(missing.stderr).toContain('trtexec: it is not on the PATH, nor in /usr/src/tensorrt/bin');
    expect(missing.stderr).toContain('--trtexec');
    const failed = build(place, [], { TRTEXEC_MODE: 'fail' });
    expect(await failed.exitCode()).toBe(65);
    expect(failed.stderr).toContain('model tiny: trtexec failed (exit code 1): ModelImporter.cpp: No importer registered for op: Foo');
    const none = build(place, [], { TRTEXEC_MODE: 'no plan' });
    expect(await none.exitCode()).toBe(65);
    expect(none.stderr).toContain('there is no plan');
    const nowhere = build(place, ['--out', '/nowhere/my.plan']);
    expect(await nowhere.exitCode()).toBe(74);
    const wrong = build(place, ['--batch', '0']);
    expect(await wrong.exitCode()).toBe(64);
    expect(place.written()).toEqual([]);
  });

  it('ends with Ctrl-C: trtexec as well, and no half plan stays', async () => {
    const place = workplace();
    const process = build(place, [], { TRTEXEC_MODE: 'hang' });
    const part = (): string | undefined => place.written().find((name) => name.startsWith('.part-'));
    const isThere = (): boolean => part() !== undefined && existsSync(path.join(place.models, part() ?? '', 'plan'));
    await eventually(() => `a plan in work\n${process.stderr}`, isThere, { timeoutMs: 60_000 });
    const child = childrenOf(process.pid).at(0);
    expect(child).toBeDefined();
    process.kill('SIGINT');
    expect(await process.exitCode()).toBe(130);
    expect(place.written()).toEqual([]);
    expect(existsSync(`/proc/${child}`)).toBe(false);
  });
});

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter((one) => one !== '');
}
