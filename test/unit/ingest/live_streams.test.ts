import { beforeEach, describe, expect, test, vi } from 'vitest';
import { ModelState, type ServedModel } from '#proto/framebus/model/v1/served_model.js';
import { ServiceState, ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { parseConfig } from '../../../lib/config.js';
import type { DesiredListener } from '../../../lib/desired_state.js';
import { encodeDesiredStream } from '../../../lib/messages.js';
import { configuredSettings, toStreamSettings, type LiveSettings } from '../../../lib/stream_settings.js';
import { LiveStreams } from '../../../services/ingest/live_streams.js';
import { WorkerModels } from '../../../services/ingest/worker_models.js';
import { captureLog } from '../../helpers/log.js';

const { streams: STREAMS } = parseConfig('streams: { gate: { source: /a.mp4, model: a }, yard: { source: /b.mp4, model: null } }', 'x.yaml', {});
const [GATE] = STREAMS;
const READY = ModelState.MODEL_STATE_READY;
const LOADING = ModelState.MODEL_STATE_LOADING;
const FAILED = ModelState.MODEL_STATE_FAILED;

const status = (instance: string, models: Partial<ServedModel>[], state = ServiceState.SERVICE_STATE_RUNNING): ServiceStatus =>
  ServiceStatus.fromPartial({ service: 'infer', instance, state, models: models.map((model) => ({ streamIds: ['gate'], ...model })) });

let nowMs = 0;

beforeEach(() => {
  nowMs = 0;
});

describe('what workers say of a model', () => {
  const verdict = (...heard: ServiceStatus[]): unknown => {
    const workers = new WorkerModels(() => nowMs);
    for (const said of heard) workers.hear(said);
    return workers.verdict('b', 'gate', 0);
  };

  test.each<[string, ServiceStatus[], unknown]>([
    ['nobody is there', [], { kind: 'waiting', why: 'no worker is running' }],
    ['one has it', [status('w0', [{ name: 'b', state: READY }])], { kind: 'ready' }],
    ['one has it and one failed', [status('w0', [{ name: 'b', state: FAILED }]), status('w1', [{ name: 'b', state: READY }])], { kind: 'ready' }],
    [
      'one failed and one is loading it',
      [status('w0', [{ name: 'b', state: FAILED, reason: 'x' }]), status('w1', [{ name: 'b', state: LOADING }])],
      { kind: 'waiting', why: 'w0 could not load it, w1 is loading it' },
    ],
    ['one does not know it', [status('w0', [{ name: 'a', state: READY }])], { kind: 'waiting', why: 'w0 has not taken it up' }],
    [
      'one has it for another stream and has not heard of this one',
      [status('w0', [{ name: 'b', state: READY, streamIds: ['yard'] }])],
      { kind: 'waiting', why: 'w0 has not taken it up' },
    ],
    [
      'all failed',
      [status('w0', [{ name: 'b', state: FAILED, reason: 'x' }]), status('w1', [{ name: 'b', state: FAILED, reason: 'y' }])],
      { kind: 'failed', reason: 'w0: x; w1: y' },
    ],
    [
      'one failed and the other has stopped',
      [status('w1', []), status('w0', [{ name: 'b', state: FAILED, reason: 'x' }]), status('w1', [], ServiceState.SERVICE_STATE_STOPPED)],
      { kind: 'failed', reason: 'w0: x' },
    ],
    ['only others speak', [ServiceStatus.fromPartial({ service: 'sink', instance: 's', models: [{ name: 'b', state: READY }] })], { kind: 'waiting', why: 'no worker is running' }],
  ])('%s', (_what, heard, expected) => {
    expect(verdict(...heard)).toEqual(expected);
  });

  test('counts only since the stream has asked, and only of who is alive', () => {
    const workers = new WorkerModels(() => nowMs);
    workers.hear(status('w0', [{ name: 'b', state: FAILED, reason: 'of the last try' }]));
    nowMs = 10;
    expect(workers.verdict('b', 'gate', 5)).toEqual({ kind: 'waiting', why: 'w0 has not taken it up' });
    workers.hear(status('w1', [{ name: 'b', state: FAILED, reason: 'x' }]));
    expect(workers.verdict('b', 'gate', 5)).toMatchObject({ kind: 'waiting' });
    nowMs = 5_005;
    expect(workers.verdict('b', 'gate', 5)).toEqual({ kind: 'failed', reason: 'w1: x' });
    nowMs = 6_000;
    expect(workers.verdict('b', 'gate', 5)).toEqual({ kind: 'waiting', why: 'no worker is running' });
  });
});

describe('streams that are changed', () => {
  /** What NATS would tell, told by hand; `initial` is through at once. */
  const make = (): {
    live: LiveStreams;
    workers: WorkerModels;
    applied: [string, LiveSettings][];
    tell: (changes: Partial<LiveSettings> | null, revision: number) => void;
    text: () => string;
  } => {
    const workers = new WorkerModels(() => nowMs);
    const applied: [string, LiveSettings][] = [];
    const { log, text } = captureLog();
    let listener: DesiredListener = () => undefined;
    const live = new LiveStreams(STREAMS, {
      state: {
        watch: (_keys, told) => {
          listener = told;
          return { initial: Promise.resolve(), close: () => undefined };
        },
      },
      workers,
      apply: (id, settings) => applied.push([id, settings]),
      log,
      nowMs: () => nowMs,
    });
    const tell = (changes: Partial<LiveSettings> | null, revision: number): void => {
      const settings = toStreamSettings({ ...configuredSettings(GATE!), ...changes });
      const value = changes === null ? null : encodeDesiredStream({ fields: Object.keys(changes), settings });
      listener({ key: 'stream.gate', value, revision });
    };
    return { live, workers, applied, tell, text };
  };

  test('begin with what was changed before, whether a worker has the model or not', async () => {
    const { live, applied, tell } = make();
    const started = live.start();
    tell({ model: 'b', interval: 3 }, 4);
    await started;
    expect(applied).toMatchObject([['gate', { model: 'b', interval: 3 }]]);
    expect(live.require('gate').settings).toMatchObject({ model: 'b', interval: 3 });
  });

  test('all of a change holds at once: when a worker has the model', async () => {
    const { live, workers, applied, tell } = make();
    await live.start();
    tell({ model: 'b', interval: 3 }, 1);
    expect(applied).toEqual([]);
    nowMs = 1;
    workers.hear(status('w0', [{ name: 'b', state: READY }]));
    live.look();
    expect(applied).toMatchObject([['gate', { model: 'b', interval: 3 }]]);
    live.look();
    tell({ model: 'b', interval: 3 }, 2);
    expect(applied).toHaveLength(1);
  });

  test('a change that is taken back before it held has never been', async () => {
    const { live, workers, applied, tell } = make();
    await live.start();
    tell({ model: 'b' }, 1);
    tell(null, 2);
    nowMs = 1;
    workers.hear(status('w0', [{ name: 'b', state: READY }]));
    live.look();
    expect(applied).toEqual([]);
    expect(live.require('gate')).toMatchObject({ settings: { model: 'a' }, wanted: { revision: 2 } });
  });

  test('who waits is told when it holds, and nobody else', async () => {
    const { live, workers, tell } = make();
    await live.start();
    const told: number[] = [];
    const waits = [1, 2].map((revision) => live.holds('gate', revision, 10_000).then(() => told.push(revision)));
    tell({ interval: 1 }, 1);
    await waits[0];
    expect(told).toEqual([1]);
    tell({ model: 'b' }, 2);
    nowMs = 1;
    workers.hear(status('w0', [{ name: 'b', state: READY }]));
    live.look();
    await waits[1];
    expect(told).toEqual([1, 2]);
    await live.holds('yard', 0, 10_000);
  });

  test('a model that no worker can load is an error for who waits, and one line for who does not', async () => {
    const { live, workers, applied, tell, text } = make();
    await live.start();
    tell({ model: 'b' }, 1);
    nowMs = 1;
    workers.hear(status('w0', [{ name: 'b', state: FAILED, reason: 'no such file' }]));
    await expect(live.holds('gate', 1, 10_000)).rejects.toMatchObject({
      code: 'MODEL_UNLOADABLE',
      message: 'stream "gate": no worker can load model "b": w0: no such file',
    });
    live.look();
    live.look();
    expect(text().split('frames go on as before')).toHaveLength(2);
    expect(applied).toEqual([]);
    // The worker tries again, by itself or because the model was swapped.
    workers.hear(status('w0', [{ name: 'b', state: READY }]));
    live.look();
    expect(applied).toMatchObject([['gate', { model: 'b' }]]);
  });

  test('nobody waits for ever', async () => {
    vi.useFakeTimers();
    try {
      const { live, workers, tell } = make();
      await live.start();
      const unheard = live.holds('gate', 1, 60_000);
      const lost = expect(unheard).rejects.toMatchObject({ code: 'DEADLINE', message: 'stream "gate": NATS has not handed the change on within 60 s' });
      await vi.advanceTimersByTimeAsync(60_000);
      await lost;
      tell({ model: 'b' }, 1);
      workers.hear(status('w0', [{ name: 'b', state: LOADING }]));
      const loading = expect(live.holds('gate', 1, 60_000)).rejects.toMatchObject({
        code: 'DEADLINE',
        message: 'stream "gate": no worker has model "b" within 60 s: w0 is loading it',
      });
      await vi.advanceTimersByTimeAsync(60_000);
      await loading;
      const ending = expect(live.holds('gate', 1, 60_000)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
      live.close();
      await ending;
      await expect(live.holds('gate', 1, 60_000)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    } finally {
      vi.useRealTimers();
    }
  });
});
