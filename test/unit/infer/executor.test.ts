import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findManifest } from '../../../models/find.js';
import { Executor } from '../../../services/infer/executor.js';
import { eventually } from '../../helpers/eventually.js';
import { captureLog } from '../../helpers/log.js';
import { ROOT } from '../../helpers/process.js';

const workerFile = pathToFileURL(path.join(ROOT, 'test', 'fixtures', 'fake_executor.mjs'));

/** A real thread that speaks the protocol, and how often the executor said that it had changed. */
function create(modelFile = 'good'): { executor: Executor; changes: () => number } {
  let changes = 0;
  const data = { manifest: findManifest('ssdlite-mobilenet-v2'), modelFile, engine: 'onnxruntime', threads: 1, maxBatch: 1, filters: [] };
  const executor = new Executor({ data, log: captureLog().log, onChange: () => (changes += 1), workerFile });
  onTestFinished(() => executor.close());
  return { executor, changes: () => changes };
}

const frame = (leaseId: number) => ({ leaseId, width: 10, height: 10, region: null, filter: 0 });

describe('Executor', () => {
  it('runs a batch and says when it is free again', async () => {
    const { executor, changes } = create();
    expect(executor.state).toBe('loading');
    await executor.load();
    expect([executor.state, executor.remainingMs(), changes()]).toEqual(['idle', 0, 1]);
    const running = executor.run([frame(1), frame(2)]);
    expect([executor.state, executor.takesNext]).toEqual(['busy', true]);
    expect((await running).rows.map(([x]) => x)).toEqual([1, 2]);
    expect([executor.state, changes()]).toEqual(['idle', 2]);
  });

  it('lets one more batch wait behind the one that runs, and runs them in turn', async () => {
    const { executor } = create();
    expect(executor.takesNext).toBe(false);
    await executor.load();
    expect(executor.takesNext).toBe(false);
    const ended: number[] = [];
    const first = executor.run([frame(1)]).then(() => ended.push(1));
    const second = executor.run([frame(2)]).then(() => ended.push(2));
    // Both are expected to take 50 ms.
    expect(executor.remainingMs()).toBeGreaterThan(80);
    expect(executor.takesNext).toBe(false);
    expect(() => executor.run([frame(3)])).toThrow('executor is busy, it takes no batch');
    await first;
    expect([executor.state, executor.takesNext, ended]).toEqual(['busy', true, [1]]);
    expect(executor.remainingMs()).toBeLessThan(50);
    await second;
    expect([executor.state, ended]).toEqual(['idle', [1, 2]]);
    // They took about 5 ms each.
    expect(executor.uncertaintyMs).toBeGreaterThan(5);
  });

  it('expects a batch to take as long as it took when warm', async () => {
    const { executor } = create();
    await executor.load();
    const running = executor.run([frame(1)]);
    expect(executor.remainingMs()).toBeGreaterThan(30);
    await running;
    // It took about 5 ms, not 50: the next one is expected sooner.
    const again = executor.run([frame(1)]);
    expect(executor.remainingMs()).toBeLessThan(46);
    await again;
  });

  it("counts as soon idle while it runs a client's tensors, so that frames are asked for", async () => {
    const { executor } = create();
    await executor.load();
    const input = { type: 'float32' as const, dims: [1], bytes: new Uint8Array(4) };
    const tensors = executor.runTensors(new Map([['x', input]]));
    expect([executor.state, executor.remainingMs(), executor.takesNext]).toEqual(['busy', 0, true]);
    expect(await tensors).toEqual([{ name: 'x', ...input }]);
    expect(executor.state).toBe('idle');
  });

  it('lets a batch fail alone', async () => {
    const { executor } = create();
    await executor.load();
    await expect(executor.run([frame(7)])).rejects.toMatchObject({ code: 'FRAME_RELEASED', message: 'lease 7 is over' });
    expect((await executor.run([frame(1)])).rows).toHaveLength(1);
  });

  it('starts its thread anew when it dies, and fails what ran', async () => {
    const { executor } = create();
    await executor.load();
    await expect(executor.run([frame(13)])).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: "model ssdlite-mobilenet-v2: the executor's thread died: the engine crashed",
    });
    expect([executor.state, executor.remainingMs()]).toEqual(['restarting', null]);
    await eventually('idle again', () => executor.state === 'idle');
    expect((await executor.run([frame(4)])).rows).toHaveLength(1);
  });

  it('fails the batch that waits as well when its thread dies', async () => {
    const { executor } = create();
    await executor.load();
    const both = await Promise.allSettled([executor.run([frame(13)]), executor.run([frame(1)])]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await eventually('idle again', () => executor.state === 'idle');
    expect((await executor.run([frame(4)])).rows).toHaveLength(1);
  });

  it('says at load why a model cannot be run', async () => {
    await expect(create('refuse').executor.load()).rejects.toMatchObject({
      code: 'MODEL_SHAPE',
      message: 'both shapes',
      remedy: 'another manifest',
    });
    await expect(create('die').executor.load()).rejects.toThrow("the executor's thread died: no memory");
  });

  it('finishes the batch that runs before it closes', async () => {
    const { executor } = create();
    await executor.load();
    const running = executor.run([frame(1)]);
    const closing = executor.close();
    expect((await running).rows).toHaveLength(1);
    await closing;
    expect(executor.state).toBe('closed');
    await executor.close();
  });
});
