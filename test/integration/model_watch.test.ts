import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { sha256Of } from '../../models/fetch.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { collectResults, inferredOf, isReady, PATIENCE, servedBy, untilServed, writeBoxModel } from '../helpers/live_models.js';
import { Pipeline } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const LIVE = { source: SAMPLE_CLIP, loop: true, model: 'boxes' };

interface Fixture {
  pipeline: Pipeline;
  results: ResultMessage[];
  manifest: string;
  /** Writes what was read. */
  edit: (change: (text: string) => string) => void;
}

async function create(models: Record<string, unknown> = {}): Promise<Fixture> {
  const folder = tempFolder();
  writeBoxModel(folder, 'boxes', 'person', { score: 0.8 });
  const pipeline = await Pipeline.create({ models: { directory: folder, ...models }, streams: { gate: LIVE } });
  const results = await collectResults(pipeline);
  await pipeline.runAll();
  const manifest = path.join(folder, 'boxes.yaml');
  return { pipeline, results, manifest, edit: (change) => writeFileSync(manifest, change(readFileSync(manifest, 'utf8'))) };
}

/** Waits until the newest frames have so many boxes. */
const untilBoxes = ({ pipeline, results }: Fixture, count: number): Promise<boolean> =>
  eventually(
    () => `${count} boxes a frame\n${pipeline.output()}`,
    () => {
      const latest = inferredOf(results, 'gate').slice(-3);
      return latest.length === 3 && latest.every(({ detections }) => detections.length === count);
    },
    PATIENCE,
  );

describe('files of a model that serves', () => {
  it('take effect when they change; what is broken changes nothing and is told of once; mended it counts', async () => {
    const fixture = await create();
    const { pipeline, edit, manifest, results } = fixture;
    await untilBoxes(fixture, 1);
    edit((text) => text.replace('default: 0.25', 'default: 0.9'));
    await untilBoxes(fixture, 0);
    await untilServed(pipeline, 'boxes', ({ generation, reason }) => generation === 2 && reason === '');
    edit((text) => text.replace('default: 0.9', 'default: 0.7'));
    await untilBoxes(fixture, 1);

    edit((text) => text.replace('task: detect', 'task: dance'));
    const broken = await untilServed(pipeline, 'boxes', ({ reason }) => reason !== '');
    expect(broken.reason).toContain('loading boxes anew failed, what was loaded goes on');
    expect(broken.reason).toContain('task: must be');
    // Still the same, and not tried again and again.
    const before = results.length;
    await eventually('frames go on', () => inferredOf(results.slice(before), 'gate').length > 25, PATIENCE);
    expect(pipeline.process('infer-0').stderr.match(/loading boxes anew failed/g)).toHaveLength(1);
    expect(servedBy(pipeline, 'boxes')).toMatchObject({ generation: 3 });
    await untilBoxes(fixture, 1);
    // As editors write: another file is put in its place.
    writeFileSync(`${manifest}.new`, readFileSync(manifest, 'utf8').replace('task: dance', 'task: detect').replace('default: 0.7', 'default: 0.95'));
    renameSync(`${manifest}.new`, manifest);
    await untilBoxes(fixture, 0);
    await untilServed(pipeline, 'boxes', (model) => isReady(model) && model.generation === 4 && model.reason === '');
    // The same text written anew is no change.
    edit((text) => text);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    expect(servedBy(pipeline, 'boxes')).toMatchObject({ generation: 4 });
  });

  it('a model file that does not fit its checksum is refused; with the right one it takes over', async () => {
    const fixture = await create();
    const { pipeline, edit, manifest } = fixture;
    const onnx = manifest.replace('.yaml', '.onnx');
    const other = tempFolder();
    // The same model, but less certain.
    writeBoxModel(other, 'boxes', 'person', { score: 0.3 });
    const fits = await sha256Of(path.join(other, 'boxes.onnx'));
    edit((text) => text.replace('source:', `source:\n  sha256: ${fits}`));
    const refused = await untilServed(pipeline, 'boxes', ({ reason }) => reason !== '');
    expect(refused.reason).toContain(`${onnx} has SHA-256 ${await sha256Of(onnx)}, the manifest says ${fits}`);
    const bytes = readFileSync(path.join(other, 'boxes.onnx'));
    // Half of it, as a copy that goes on.
    writeFileSync(onnx, bytes.subarray(0, bytes.length / 2));
    await new Promise((resolve) => setTimeout(resolve, 700));
    writeFileSync(onnx, bytes);
    const taken = await untilServed(pipeline, 'boxes', (model) => model.generation === 2);
    expect(taken.reason).toBe('');
    await eventually('less certain', () => inferredOf(fixture.results, 'gate').at(-1)?.detections[0]?.confidence.toFixed(1) === '0.3', PATIENCE);
  });

  it('are left alone with models.watch: false', async () => {
    const fixture = await create({ watch: false });
    await untilBoxes(fixture, 1);
    fixture.edit((text) => text.replace('default: 0.25', 'default: 0.9'));
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(servedBy(fixture.pipeline, 'boxes')).toMatchObject({ generation: 1 });
    await untilBoxes(fixture, 1);
  });
});
