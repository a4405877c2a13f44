import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EngineTensor, FrameFormat, PluginEngine, PluginEngineOptions, PreprocessSpec } from '../../native/contract.js';
import { addonPath, createBusConsumer, createBusServer, createProducerPool, openEngine, probeEngine } from '../../native/index.js';
import { CONSUMER, groups, SERVER } from '../helpers/bus_options.js';
import { REFERENCE_ENGINE, writeReferenceModel, type ReferenceModel } from '../helpers/reference_engine.js';
import { tempFolder } from '../helpers/temp.js';

const MODEL: ReferenceModel = { width: 8, height: 4, cell: 4, weights: [1, 2, 4], threshold: 3, maxBatch: 3 };

function open(model: ReferenceModel = MODEL, rest: Partial<PluginEngineOptions> = {}): PluginEngine {
  const file = writeReferenceModel(path.join(tempFolder(), 'm.txt'), model);
  const engine = openEngine({ library: REFERENCE_ENGINE, model: file, device: 0, threads: 1, maxBatch: model.maxBatch, ...rest });
  onTestFinished(() => engine.close());
  return engine;
}

/** Pictures of 8 × 4 whose two cells have these levels in all channels. */
function pictures(...levels: [left: number, right: number][]): EngineTensor {
  const data = Float32Array.from({ length: levels.length * 3 * 32 }, (_, index) => {
    const [left, right] = levels[Math.floor(index / 96)] ?? [0, 0];
    return index % 8 < 4 ? left : right;
  });
  return { name: 'images', type: 'float32', dims: [levels.length, 3, 4, 8], data };
}

const outputOf = (outputs: EngineTensor[], name: string): EngineTensor => outputs.find((output) => output.name === name)!;

function refusal(action: () => unknown): { code: unknown; message: string } {
  try {
    action();
  } catch (error) {
    return { code: (error as { code?: unknown }).code, message: (error as Error).message };
  }
  throw new Error('nothing thrown');
}

describe('an engine that is a shared library', () => {
  it('says what it is, what it runs on, and what the model takes and gives', async () => {
    expect(await probeEngine(REFERENCE_ENGINE, 0)).toEqual({ engine: 'reference', version: '1.0', device: 'cpu', architecture: '' });
    await expect(probeEngine(REFERENCE_ENGINE, 3)).rejects.toMatchObject({
      code: 'ENGINE_MISSING',
      message: `engine ${REFERENCE_ENGINE}: device 3: there is only 0`,
    });
    expect(open().describe()).toEqual({
      ...{ engine: 'reference', version: '1.0', device: 'cpu', precision: 'fp32', memory: 'host' },
      ...{ minBatch: 1, optBatch: 1, maxBatch: 3 },
      inputs: [{ name: 'images', type: 'float32', dims: [-1, 3, 4, 8] }],
      outputs: [
        { name: 'boxes', type: 'float32', dims: [-1, -1, 6] },
        { name: 'above', type: 'int64', dims: [-1] },
      ],
    });
  });

  it('runs given tensors of every batch size, with outputs as long as they really are', () => {
    const engine = open();
    // A cell's score is 7 × its level: the threshold 3 lies between 0.4 and 0.5.
    const first = engine.runTensors([pictures([0.5, 0.4], [0, 0], [1, 2])]);
    expect(outputOf(first, 'above')).toEqual({ name: 'above', type: 'int64', dims: [3], data: BigInt64Array.of(1n, 0n, 2n) });
    const boxes = outputOf(first, 'boxes');
    expect(boxes.dims).toEqual([3, 2, 6]);
    const none = [0, 0, 0, 0, 0, 0];
    expect([...boxes.data]).toEqual([0, 0, 4, 4, 3.5, 0, ...none, ...none, ...none, 0, 0, 4, 4, 7, 0, 4, 0, 8, 4, 14, 0]);
    const second = engine.runTensors([pictures([0, 0.75])]);
    expect(outputOf(second, 'boxes')).toMatchObject({ dims: [1, 1, 6], data: Float32Array.of(4, 0, 8, 4, 5.25, 0) });
    expect(outputOf(engine.runTensors([pictures([0, 0])]), 'boxes')).toMatchObject({ dims: [1, 0, 6], data: new Float32Array(0) });
  });

  it('takes leased frames and parts of them, each in its place of the batch', async () => {
    const directory = tempFolder();
    const server = createBusServer({ directory, producer: 'pictures', ...SERVER }, () => undefined);
    const consumer = createBusConsumer({ directory, name: 'test', group: 'infer', maxHeld: 4, ...CONSUMER }, () => undefined);
    onTestFinished(async () => {
      await consumer.close();
      await server.close();
    });
    const format: FrameFormat = {
      ...{ width: 64, height: 32, pixelFormat: 'NV12', matrix: 'bt601', range: 'full' },
      ...{ frameRateNumerator: 25, frameRateDenominator: 1, pixelAspectNumerator: 1, pixelAspectDenominator: 1 },
    };
    const pool = createProducerPool(server, { streamId: 's', format, memory: 'shm', slots: 3, groups: groups(['infer', 2]) });
    onTestFinished(() => pool.close());
    const slot = pool.acquire(false);
    const [luma, chroma] = slot!.planes();
    // Grey: black on the left, white on the right.
    luma!.data.forEach((_, at) => (luma!.data[at] = at % luma!.stride < 32 ? 0 : 255));
    chroma!.data.fill(128);
    const generation = slot!.publish();
    await consumer.attach('pictures', pool.epoch);
    const lease = consumer.lease(pool.epoch, slot!.slot, generation);
    if (typeof lease === 'string') throw new Error(lease);

    const engine = open();
    const third = 1 / 255;
    const spec: PreprocessSpec = {
      ...{ width: 8, height: 4, resize: 'stretch', anchor: 'center', padValue: 0, colorOrder: 'rgb', layout: 'nchw' },
      ...{ mean: [0, 0, 0], scale: [third, third, third] },
    };
    expect(refusal(() => engine.run(1, [])).code).toBe('BAD_ARGUMENT');
    engine.preparePictures('images', 4, 8, 'nchw', 3);
    expect(outputOf(engine.run(3, []), 'above').data).toEqual(BigInt64Array.of(0n, 0n, 0n));
    const right = { x: 32, y: 0, width: 32, height: 32 };
    const frames = [{ leaseId: lease.id, region: null }, { leaseId: lease.id, region: right }];
    expect(engine.preprocess(frames, spec)).toEqual([
      { scaleX: 1 / 8, scaleY: 1 / 8, offsetX: 0, offsetY: 0 },
      { scaleX: 1 / 4, scaleY: 1 / 8, offsetX: -8, offsetY: 0 },
    ]);
    const outputs = engine.run(2, []);
    expect(outputOf(outputs, 'above').data).toEqual(BigInt64Array.of(1n, 2n));
    const rows = outputOf(outputs, 'boxes').data as Float32Array;
    expect([...rows.subarray(0, 4)]).toEqual([4, 0, 8, 4]);
    expect(rows[4]).toBeCloseTo(7, 5);
    expect(refusal(() => engine.preprocess([...frames, ...frames], spec)).code).toBe('BAD_ARGUMENT');
    expect(refusal(() => engine.preprocess(frames, { ...spec, width: 4 })).code).toBe('BAD_ARGUMENT');
    expect(refusal(() => engine.run(4, [])).code).toBe('BAD_ARGUMENT');
    lease.release();
    expect(refusal(() => engine.preprocess(frames, spec)).code).toBe('FRAME_RELEASED');
  });

  it('shows the same memory again, and takes it back when it is closed', () => {
    const engine = open();
    const [boxes] = engine.runTensors([pictures([1, 1])]);
    const [again] = engine.runTensors([pictures([2, 2])]);
    expect(again!.data.buffer).toBe(boxes!.data.buffer);
    expect(boxes!.data[4]).toBe(14);
    engine.close();
    engine.close();
    expect(boxes!.data.length).toBe(0);
    expect(refusal(() => engine.runTensors([pictures([1, 1])]))).toEqual({ code: 'BAD_ARGUMENT', message: 'engine: it is closed' });
    expect(refusal(() => engine.describe()).code).toBe('BAD_ARGUMENT');
  });

  it('refuses tensors that do not fit, and goes on', () => {
    const engine = open();
    const good = pictures([1, 1]);
    const library = REFERENCE_ENGINE;
    const cases: [change: Partial<EngineTensor>, code: string, message: string][] = [
      [{ name: 'picture' }, 'ENGINE_FAILED', `engine ${library}: the model takes one input "images"`],
      [{ dims: [1, 3, 8, 4] }, 'MODEL_SHAPE', `engine ${library}: input "images": it takes [1 to 3, 3, 4, 8]`],
      [{ dims: [1, 3, 4, 7] }, 'BAD_ARGUMENT', 'Expected 336 bytes, as dims say for inputs[0].data but received object'],
      [{ type: 'float64' }, 'BAD_ARGUMENT', 'Expected typed array for float64 for inputs[0].data but received object'],
    ];
    for (const [change, code, message] of cases) {
      expect(refusal(() => engine.runTensors([{ ...good, ...change }]))).toEqual({ code, message });
    }
    expect(refusal(() => engine.runTensors([]))).toMatchObject({ code: 'ENGINE_FAILED' });
    expect(outputOf(engine.runTensors([good]), 'above').data).toEqual(BigInt64Array.of(2n));
  });

  it('is refused with words when the library or the model is not right', () => {
    const folder = tempFolder();
    const text = path.join(folder, 'text.so');
    writeFileSync(text, 'no library');
    expect(refusal(() => open(MODEL, { library: text })).code).toBe('ENGINE_MISSING');
    expect(refusal(() => open(MODEL, { library: path.join(folder, 'none.so') })).message).toContain('none.so');
    expect(refusal(() => open(MODEL, { library: addonPath() })).code).toBe('ENGINE_MISSING');
    expect(refusal(() => open(MODEL, { maxBatch: 4 }))).toMatchObject({
      code: 'MODEL_SHAPE',
      message: expect.stringContaining('it takes batches of up to 3, not 4') as unknown,
    });
    const model = path.join(folder, 'm');
    expect(refusal(() => open(MODEL, { model })).code).toBe('ENGINE_DAMAGED');
    writeFileSync(model, 'framebus-reference 2');
    expect(refusal(() => open(MODEL, { model }))).toEqual({
      code: 'ENGINE_VERSION',
      message: `engine ${REFERENCE_ENGINE}: ${model}: it is of version 2, this engine reads 1`,
    });
    writeFileSync(model, 'framebus-reference 1\ninput images 8 5\ncell 4');
    expect(refusal(() => open(MODEL, { model })).code).toBe('ENGINE_DAMAGED');
  });
});
