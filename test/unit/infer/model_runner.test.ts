import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import type { FrameLease } from '../../../native/contract.js';
import type { ExecutorResult, ExecutorState } from '../../../services/infer/executor.js';
import type { ExecutorFrame } from '../../../services/infer/executor_protocol.js';
import { InferMetrics } from '../../../services/infer/metrics.js';
import type { LeasedFrame } from '../../../services/infer/leased_frame.js';
import { ModelRunner } from '../../../services/infer/model_runner.js';
import type { InputTensorData, OutputTensorData } from '../../../services/infer/tensor_inference.js';
import { FrameAnswers } from '../../../services/infer/frame_answers.js';
import { decoderManifest } from '../../helpers/decoding.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { captureLog } from '../../helpers/log.js';

interface Ending {
  batch: number[];
  resolve: (result: ExecutorResult) => void;
  reject: (error: Error) => void;
}

/** An executor whose batches end when the test says so. */
class ManualExecutor {
  state: ExecutorState = 'idle';
  expectedMs = 1_000;
  /** Of a batch that has not begun. */
  wholeMs = 0;
  uncertaintyMs = 0;
  readonly batches: number[][] = [];
  onChange: () => void = () => undefined;
  /** The one that runs, and the one that waits behind it. */
  #ends: Ending[] = [];

  get takesNext(): boolean {
    return this.state === 'busy' && this.#ends.length === 1;
  }

  remainingMs(): number | null {
    return this.state === 'idle' ? 0 : this.state === 'busy' ? this.expectedMs : null;
  }

  batchMs(): number {
    return this.wholeMs;
  }

  run(frames: ExecutorFrame[]): Promise<ExecutorResult> {
    this.state = 'busy';
    this.batches.push(frames.map(({ leaseId }) => leaseId));
    const batch = frames.map(({ leaseId }) => leaseId);
    return new Promise((resolve, reject) => this.#ends.push({ batch, resolve, reject }));
  }

  async finish(error?: Error): Promise<void> {
    const end = this.#ends.shift();
    if (this.#ends.length === 0) this.state = 'idle';
    const times = { startedNs: 1n, preprocessedNs: 2n, inferredNs: 3n, decodedNs: 4n };
    if (error !== undefined) end?.reject(error);
    else end?.resolve({ rows: end.batch.map((id) => Float32Array.of(id)), findings: [], times });
    this.onChange();
    await sleep(0);
  }

  async runTensors(inputs: ReadonlyMap<string, InputTensorData>): Promise<OutputTensorData[]> {
    await this.run([]);
    return [...inputs].map(([name, input]) => ({ name, ...input }));
  }
}

/** A consumer that notes what was wanted of it. */
class NotingConsumer {
  ready = true;
  wanted = 0;
  onTheWay = 0;
  closed = false;

  want(count: number): void {
    this.wanted = count;
  }

  coming(): number {
    return this.onTheWay;
  }

  close(): void {
    this.closed = true;
    this.ready = false;
  }
}

function create({ executors: count = 1, batchSize = 2, maxHeld = 16, leaseDeadlineMs = 0, flushed = () => Promise.resolve() } = {}) {
  const executors = Array.from({ length: count }, () => new ManualExecutor());
  const consumer = new NotingConsumer();
  const published: string[] = [];
  const registry = new Registry();
  const metrics = new InferMetrics(registry).model('m', ['s1', 's2']);
  const runner = new ModelRunner(
    { maxAgeMs: 10, maxHeld, leaseDeadlineMs },
    { consumers: [consumer], held: () => answers.open, metrics, log: captureLog().log },
  );
  const answers = new FrameAnswers({
    publisher: {
      inferred: ({ frame, manifest: { name }, rows, batchSize: size }) =>
        published.push(`inferred ${frame.seq} ${String(rows[0])} of ${size}${name === 'm' ? '' : ` by ${name}`}`),
      failed: (frame, _leasedNs, reason) => published.push(`failed ${frame.seq} ${reason}`),
      expired: (frame, _leasedNs, reason) => published.push(`expired ${frame.seq} ${reason}`),
      revoked: (frame) => published.push(`revoked ${frame.seq}`),
      flushed,
    },
    metrics,
    secondStage: null,
    onLetGo: () => runner.pump(),
  });
  for (const executor of executors) executor.onChange = () => runner.pump();
  const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face' } });
  void runner.use({ manifest, executors, batchSize, filterOf: () => 0 });
  const add = (frame: LeasedFrame): void => runner.add(answers.work(frame, null));
  return { runner, add, answers, manifest, executors, executor: executors[0] as ManualExecutor, consumer, published, registry };
}

/** A frame whose lease has the number of the frame, and what became of it. */
function leased(seq: number, streamId = `s${seq}`, valid = true, deadlineMs = Number.POSITIVE_INFINITY): LeasedFrame & { done: string[] } {
  const done: string[] = [];
  const lease: FrameLease = {
    id: seq,
    format: { width: 8, height: 8, pixelFormat: 'I420', matrix: 'bt601', range: 'limited', frameRateNumerator: 0, frameRateDenominator: 1, pixelAspectNumerator: 1, pixelAspectDenominator: 1 },
    memory: 'shm',
    planes: () => [],
    download: () => Promise.resolve([]),
    valid: () => valid,
    release: () => void done.push('released'),
  };
  const frame = FrameDescriptor.fromPartial({ streamId, seq: BigInt(seq) });
  return { streamId, oneABatch: true, deadlineMs, frame, lease, leasedNs: 0n, done };
}

/** One sample of the metrics; 0 when there is none. */
async function sample(registry: Registry, metric: string, labels: Record<string, string | number>): Promise<number> {
  const { values } = (await registry.getSingleMetric(metric.replace(/_(count|sum|bucket)$/, ''))?.get()) ?? { values: [] };
  const found = values.find(
    (value) =>
      (!('metricName' in value) || value.metricName === undefined || value.metricName === metric) &&
      Object.entries(labels).every(([label, text]) => (value.labels as Record<string, unknown>)[label] === text),
  );
  return found?.value ?? 0;
}

describe('the metrics of a ModelRunner', () => {
  it('count frames in flight until their leases have ended, by stream, the unknown ones together', async () => {
    const { add, executor, registry } = create();
    const inFlight = (stream: string): Promise<number> => sample(registry, 'framebus_infer_in_flight_frames', { model: 'm', stream });
    for (const seq of [1, 3, 4]) add(leased(seq));
    expect([await inFlight('s1'), await inFlight('s2'), await inFlight('other')]).toEqual([1, 0, 2]);
    await executor.finish();
    await vi.waitFor(async () => expect([await inFlight('s1'), await inFlight('other')]).toEqual([0, 2]));
    await executor.finish(new Error('broken'));
    await vi.waitFor(async () => expect(await inFlight('other')).toBe(0));
  });

  it('have the size of each batch, its steps, and how long each frame waited', async () => {
    const { add, executor, registry } = create();
    add({ ...leased(1), leasedNs: -2_000_000_000n });
    add(leased(2));
    add(leased(3));
    await executor.finish();
    await executor.finish();
    const of = (metric: string, labels: Record<string, string | number>): Promise<number> => sample(registry, metric, { model: 'm', ...labels });
    // The first frame starts a batch alone: the executor was idle.
    expect(await of('framebus_infer_batch_frames_count', {})).toBe(2);
    expect(await of('framebus_infer_batch_frames_bucket', { le: 1 })).toBe(1);
    expect(await of('framebus_infer_batch_frames_sum', {})).toBe(3);
    // startedNs is 1, preprocessedNs 2, and so on.
    for (const step of ['preprocess', 'engine', 'decode']) {
      expect(await of('framebus_infer_batch_seconds_count', { step })).toBe(2);
      expect(await of('framebus_infer_batch_seconds_sum', { step })).toBeCloseTo(2e-9, 12);
    }
    expect(await of('framebus_infer_queue_age_seconds_sum', { stream: 's1' })).toBeCloseTo(2, 6);
    expect(await of('framebus_infer_queue_age_seconds_count', { stream: 's2' })).toBe(1);
    expect(await of('framebus_infer_queue_age_seconds_count', { stream: 'other' })).toBe(1);
  });
});

describe('ModelRunner', () => {
  it('keeps a frame leased until its result has left the process', async () => {
    let leave = (): void => undefined;
    const flushed = (): Promise<void> => new Promise((resolve) => (leave = resolve));
    const { add, executor, published } = create({ batchSize: 1, flushed });
    const frame = leased(1);
    add(frame);
    await executor.finish();
    expect([published.length, frame.done]).toEqual([1, []]);
    leave();
    await vi.waitFor(() => expect(frame.done).toEqual(['released']));
  });

  it('asks for as many frames as can be started, and for none while its executor is busy', async () => {
    const { add, executor, consumer } = create({ batchSize: 4 });
    expect(consumer.wanted).toBe(4);
    add(leased(1));
    expect([executor.batches, consumer.wanted]).toEqual([[[1]], 0]);
    await executor.finish();
    expect(consumer.wanted).toBe(4);
  });

  it('asks again just before an executor is expected to be free', async () => {
    const { add, executor, consumer } = create({ batchSize: 4 });
    executor.expectedMs = 60;
    add(leased(1));
    expect(consumer.wanted).toBe(0);
    executor.expectedMs = 1;
    await sleep(90);
    expect([executor.state, consumer.wanted]).toEqual(['busy', 4]);
    // What comes meanwhile waits here, and is not asked for twice.
    add(leased(2));
    expect([executor.batches.length, consumer.wanted]).toEqual([1, 3]);
    await executor.finish();
    expect(executor.batches).toEqual([[1], [2]]);
  });

  it('asks sooner where batches do not end when they are expected to', async () => {
    const { runner, add, executor, consumer } = create({ batchSize: 4 });
    executor.expectedMs = 20;
    add(leased(1));
    expect(consumer.wanted).toBe(0);
    executor.uncertaintyMs = 9;
    runner.pump();
    expect(consumer.wanted).toBe(4);
    executor.uncertaintyMs = 1_000;
    executor.expectedMs = 31;
    runner.pump();
    expect(consumer.wanted).toBe(0);
    await executor.finish();
  });

  it('gives a full batch to an executor that is nearly done, ahead of its end', async () => {
    const { add, executor, published, consumer } = create({ batchSize: 2 });
    add(leased(1));
    executor.expectedMs = 2;
    add(leased(2));
    expect(executor.batches).toEqual([[1]]);
    add(leased(3));
    expect(executor.batches).toEqual([[1], [2, 3]]);
    // One batch waits in the executor, the next one here.
    add(leased(4));
    add(leased(5));
    expect([executor.batches.length, consumer.wanted]).toEqual([2, 0]);
    await executor.finish();
    expect([executor.batches, published]).toEqual([[[1], [2, 3], [4, 5]], ['inferred 1 1 of 1']]);
    await executor.finish();
    expect(published.slice(1)).toEqual(['inferred 2 2 of 2', 'inferred 3 3 of 2']);
  });

  it('keeps a full batch for an executor that is not nearly done, and takes the one that is done first', () => {
    const { runner, add, executors } = create({ executors: 2, batchSize: 1 });
    const [first, second] = executors as [ManualExecutor, ManualExecutor];
    add(leased(1));
    add(leased(2));
    expect([first.batches, second.batches]).toEqual([[[1]], [[2]]]);
    add(leased(3));
    expect([first.batches.length, second.batches.length]).toEqual([1, 1]);
    [first.expectedMs, second.expectedMs] = [3, 1];
    runner.pump();
    expect([first.batches, second.batches]).toEqual([[[1]], [[2], [3]]]);
  });

  it('never holds more than it may', () => {
    const { consumer, runner, add } = create({ executors: 3, batchSize: 4, maxHeld: 5 });
    expect(consumer.wanted).toBe(5);
    add(leased(1));
    expect(consumer.wanted).toBe(4);
    runner.attaching(1);
    runner.pump();
    expect(consumer.wanted).toBe(3);
  });

  it('waits for frames that are on their way, but not longer than the age limit', async () => {
    const { add, executor, consumer } = create({ batchSize: 3 });
    consumer.onTheWay = 2;
    add(leased(1));
    add(leased(2));
    expect(executor.batches).toEqual([]);
    await sleep(30);
    expect(executor.batches).toEqual([[1, 2]]);
  });

  it('publishes before it lets go of the frame', async () => {
    const { add, executor, published } = create();
    const [first, second] = [leased(1), leased(2)];
    add(first);
    add(second);
    await executor.finish();
    expect(published).toEqual(['inferred 1 1 of 1']);
    expect(first.done).toEqual(['released']);
    expect([executor.batches, second.done]).toEqual([[[1], [2]], []]);
  });

  it('publishes nothing of a frame whose lease was taken away', async () => {
    const { add, executor, published } = create();
    const frame = leased(1, 's', false);
    add(frame);
    await executor.finish();
    expect([published, frame.done]).toEqual([['revoked 1'], ['released']]);
  });

  it('answers for a batch that failed, with the reason, and goes on', async () => {
    const { add, executor, published } = create();
    const frame = leased(1);
    add(frame);
    await executor.finish(new FramebusError('ENGINE_FAILED', 'the executor died'));
    expect([published, frame.done]).toEqual([['failed 1 the executor died'], ['released']]);
    add(leased(2));
    await executor.finish();
    expect(published.at(-1)).toBe('inferred 2 2 of 1');
  });

  it('uses the executors that there are, and says when there is none', () => {
    const { runner, add, executors, consumer } = create({ executors: 2 });
    const [first, second] = executors as [ManualExecutor, ManualExecutor];
    first.state = 'restarting';
    runner.pump();
    expect([runner.ready(), consumer.wanted]).toEqual([null, 2]);
    add(leased(1));
    expect([first.batches, second.batches]).toEqual([[], [[1]]]);
    second.state = 'restarting';
    expect(runner.ready()).toBe('no executor runs');
    second.state = 'idle';
    consumer.ready = false;
    expect(runner.ready()).toBe('the frame consumer is not there yet');
  });

  it('finishes what it has when it is closed, and takes no more', async () => {
    const { runner, add, executor, consumer, published } = create({ batchSize: 1 });
    add(leased(1));
    add(leased(2));
    const closing = runner.close();
    expect(consumer.closed).toBe(true);
    const late = leased(3);
    add(late);
    expect(published).toEqual(['failed 3 the service is stopping']);
    await executor.finish();
    expect(late.done).toEqual(['released']);
    expect(executor.batches).toEqual([[1], [2]]);
    await executor.finish();
    await closing;
    expect(published).toEqual(['failed 3 the service is stopping', 'inferred 1 1 of 1', 'inferred 2 2 of 1']);
  });

  it('hands over to another crew between two batches, when the one before is done, so that none overtakes', async () => {
    const { runner, add, executor, manifest, published } = create({ batchSize: 2 });
    add(leased(1));
    add(leased(2));
    add(leased(3));
    add(leased(4));
    expect(executor.batches).toEqual([[1]]);
    const other = new ManualExecutor();
    other.onChange = () => runner.pump();
    let done = false;
    // Smaller batches are allowed, larger ones as well.
    const handover = runner.use({ manifest: { ...manifest, name: 'n' }, executors: [other], batchSize: 1, filterOf: () => 0 }).then(() => (done = true));
    expect([executor.batches, other.batches]).toEqual([[[1]], []]);
    expect(done).toBe(false);
    await executor.finish();
    // At once, not when somebody looks again.
    expect([executor.batches, other.batches]).toEqual([[[1]], [[2]]]);
    await handover;
    for (let batch = 2; batch <= 4; batch++) await other.finish();
    expect(published).toEqual(['inferred 1 1 of 1', 'inferred 2 2 of 1 by n', 'inferred 3 3 of 1 by n', 'inferred 4 4 of 1 by n']);
    expect([executor.batches, other.batches]).toEqual([[[1]], [[2], [3], [4]]]);
  });

  it("lets a client's tensors and batches of frames take turns", async () => {
    const { runner, add, executor } = create({ batchSize: 1 });
    add(leased(1));
    const { signal } = new AbortController();
    const input = new Map([['x', { type: 'float32' as const, dims: [1], bytes: new Uint8Array(4) }]]);
    const [first, second] = [runner.runTensors(input, signal), runner.runTensors(input, signal)];
    add(leased(2));
    for (let turn = 0; turn < 4; turn++) await executor.finish();
    // Tensors have no leases.
    expect(executor.batches).toEqual([[1], [], [2], []]);
    expect([await first, await second].map(([output]) => output?.name)).toEqual(['x', 'x']);
  });

  it("forgets a client's tensors that are cancelled while they wait", async () => {
    const { runner, add, executor } = create({ batchSize: 1 });
    add(leased(1));
    const cancelled = new AbortController();
    const outputs = runner.runTensors(new Map(), cancelled.signal);
    cancelled.abort();
    await expect(outputs).rejects.toMatchObject({ code: 'CANCELLED' });
    await executor.finish();
    expect(executor.batches).toEqual([[1]]);
  });
});

describe('a ModelRunner whose frames have a deadline', () => {
  const REASON = /^expired 2 its lease of 1000 ms would have ended before the model was done; it has waited for \d+ ms$/;

  it('gives a frame up that would not be done before its lease ends, and goes on with the others', async () => {
    const { add, executor, published } = create({ batchSize: 1, leaseDeadlineMs: 1_000 });
    executor.wholeMs = 200;
    executor.expectedMs = 100;
    add(leased(1));
    // 350 ms are needed: 100 for the batch that runs, 200 for its own, and some slack.
    const [late, early] = [leased(2, 'a', true, performance.now() + 340), leased(3, 'b', true, performance.now() + 900)];
    add(late);
    add(early);
    await vi.waitFor(() => expect(late.done).toEqual(['released']));
    expect(published).toEqual([expect.stringMatching(REASON)]);
    await executor.finish();
    expect(executor.batches).toEqual([[1], [3]]);
    expect([published.length, early.done]).toEqual([2, []]);
  });

  it('notices by itself when a frame has waited for too long', async () => {
    const { add, executor, published } = create({ batchSize: 1, leaseDeadlineMs: 1_000 });
    add(leased(1));
    executor.expectedMs = 40;
    const frame = leased(2, 'a', true, performance.now() + 250);
    add(frame);
    expect(published).toEqual([]);
    await vi.waitFor(() => expect(published).toEqual([expect.stringMatching(REASON)]));
    expect([frame.done.length, executor.batches]).toEqual([1, [[1]]]);
  });

  it('tries a model that seems too slow for any lease', async () => {
    const { add, executor, published } = create({ batchSize: 1, leaseDeadlineMs: 1_000 });
    executor.wholeMs = 5_000;
    add(leased(2, 'a', true, performance.now() + 1_000));
    expect(executor.batches).toEqual([[2]]);
    await executor.finish();
    expect(published).toEqual(['inferred 2 2 of 1']);
  });

  it('leaves the answer to ingest when the lease was taken away meanwhile', async () => {
    const { add, published } = create({ batchSize: 1, leaseDeadlineMs: 1_000 });
    add(leased(1));
    const frame = leased(2, 'a', false, performance.now());
    add(frame);
    await vi.waitFor(() => expect(frame.done).toEqual(['released']));
    expect(published).toEqual(['revoked 2']);
  });
});
