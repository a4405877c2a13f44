import { status as grpc, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ModelState, ServedModel } from '#proto/framebus/model/v1/served_model.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { ServiceState } from '#proto/framebus/status/v1/status.js';
import { DesiredState } from '../../lib/desired_state.js';
import { decodeFrame, decodeResult, encodeDesiredStream } from '../../lib/messages.js';
import { makeStatus, publishStatus } from '../../lib/status.js';
import { toStreamSettings, type LiveSettings } from '../../lib/stream_settings.js';
import * as subjects from '../../lib/subjects.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { lastingNatsClient } from '../helpers/nats.js';
import { Pipeline, type PipelineOptions, type ServiceName } from '../helpers/pipeline.js';
import { StreamClient } from '../helpers/stream_client.js';

const SSD = 'ssdlite-mobilenet-v2';
const YOLOX = 'yolox-nano-416';
const SKIPPED = InferenceStatus.INFERENCE_STATUS_SKIPPED;
const GATE = { source: SAMPLE_CLIP, loop: true, model: SSD };

interface Sent {
  model: string;
  seq: number;
}

/** ingest as a real process, its gRPC service, and all that it sends. */
class Rig {
  readonly results: ResultMessage[] = [];
  /** Frames of stream gate for workers. */
  readonly sent: Sent[] = [];
  client!: StreamClient;
  state!: DesiredState;
  readonly pipeline: Pipeline;

  private constructor(pipeline: Pipeline) {
    this.pipeline = pipeline;
  }

  /** @param before services that run when ingest starts */
  static async start(options: PipelineOptions = { streams: { gate: GATE } }, before: ServiceName[] = []): Promise<Rig> {
    const rig = new Rig(await Pipeline.create(options));
    const nats = await lastingNatsClient(rig.pipeline.nats.url);
    nats.subscribe(subjects.ALL_RESULTS, { callback: (_error, { data }) => rig.results.push(decodeResult(data)) });
    for (const wildcard of [subjects.ALL_FRAMES, subjects.ALL_LOSSLESS_FRAMES]) {
      nats.subscribe(wildcard, {
        callback: (_error, { data, subject }) => {
          const [, , model = '', stream] = subject.split('.');
          if (stream === 'gate') rig.sent.push({ model, seq: Number(decodeFrame(data).frame?.seq) });
        },
      });
    }
    await nats.flush();
    rig.state = await DesiredState.open(nats, captureLog().log);
    onTestFinished(() => rig.state.close());
    rig.#nats = nats;
    await Promise.all(before.map((service) => rig.pipeline.run(service)));
    await rig.run();
    return rig;
  }

  #nats!: Awaited<ReturnType<typeof lastingNatsClient>>;

  async run(): Promise<void> {
    await this.pipeline.run('ingest');
    const address = this.pipeline.status('ingest')?.addresses['grpc'] ?? '';
    this.client = new StreamClient(address);
  }

  /** Says once a second, as a worker does, how its models are; the last word counts. */
  worker(name: string): (models: Partial<ServedModel>[]) => void {
    let models: ServedModel[] = [];
    const say = (): void =>
      publishStatus(
        this.#nats,
        makeStatus({ service: 'infer', instance: name, state: ServiceState.SERVICE_STATE_RUNNING, streams: [], pools: [], models, addresses: new Map() }),
      );
    const timer = setInterval(say, 1000);
    onTestFinished(() => clearInterval(timer));
    say();
    return (next) => {
      models = next.map((model) => ServedModel.fromPartial({ streamIds: ['gate'], ...model }));
      say();
    };
  }

  /** Number of the newest frame that anybody was told of. */
  newest(): number {
    return Math.max(-1, ...this.sent.map(({ seq }) => seq), ...this.gate().map(({ seq }) => seq));
  }

  /** What became of the stream's frames that no worker took. */
  gate(): { seq: number; status: InferenceStatus }[] {
    return this.results.flatMap(({ frame, status }) => (frame?.streamId === 'gate' ? { seq: Number(frame.seq), status } : []));
  }

  /** Frames of a range that were not left out by the interval, once all of the range are known. */
  async lookedAt(from: number, count: number): Promise<number[]> {
    const inRange = ({ seq }: { seq: number }): boolean => seq >= from && seq < from + count;
    const known = await eventually(
      () => `results of frames ${from} to ${from + count}\n${this.pipeline.output()}`,
      () => {
        const found = new Map(this.gate().filter(inRange).map(({ seq, status }) => [seq, status]));
        return found.size === count && found;
      },
      { timeoutMs: 60_000 },
    );
    return [...known].flatMap(([seq, status]) => (status === SKIPPED ? [] : seq)).toSorted((a, b) => a - b);
  }
}

/** What a call ends with. */
async function failure(call: Promise<unknown>): Promise<ServiceError & { framebus: unknown }> {
  const error = await call.then(
    () => {
      throw new Error('the call succeeded');
    },
    (reason: unknown) => reason as ServiceError,
  );
  return Object.assign(error, { framebus: error.metadata.get('framebus-code')[0] });
}

const steps = (numbers: readonly number[]): Set<number> => new Set(numbers.slice(1).map((seq, index) => seq - (numbers[index] ?? 0)));

describe('settings of streams', () => {
  test('are listed in the order of the configuration, and got one by one', async () => {
    const { client } = await Rig.start({
      defaults: { interval: 2 },
      streams: {
        yard: { ...GATE, model: null, region: { x: 0.5, y: 0, width: 0.5, height: 1 } },
        gate: { ...GATE, labels: ['person'], min_confidence: 0.35, thresholds: { person: 0.6 } },
      },
    });
    const [yard, gate, ...others] = await client.list();
    expect(others).toEqual([]);
    expect(yard).toMatchObject({ streamId: 'yard', changed: [], revision: 0n });
    expect(yard?.settings).toMatchObject({ model: '', interval: 2, region: { x: 0.5, y: 0, width: 0.5, height: 1 } });
    expect(gate?.settings).toMatchObject({ model: SSD, interval: 2, labels: ['person'], minConfidence: Math.fround(0.35) });
    expect(await client.get('gate')).toEqual(gate);
    const unknown = await failure(client.get('gat'));
    expect([unknown.code, unknown.framebus]).toEqual([grpc.NOT_FOUND, 'STREAM_NOT_FOUND']);
    expect(unknown.details).toContain('stream "gat": not found; known are yard, gate');
  });

  test('the interval holds from the next frame on, survives kill -9, and is taken back', async () => {
    const rig = await Rig.start();
    await eventually('frames', () => rig.newest() > 5);
    const changed = await rig.client.update('gate', { interval: 2 });
    expect(changed).toMatchObject({ changed: ['interval'], settings: { interval: 2, model: SSD } });
    // A frame may have been on its way while the answer was.
    const looked = await rig.lookedAt(rig.newest() + 2, 30);
    expect(looked).toHaveLength(10);
    expect(steps(looked)).toEqual(new Set([3]));

    const dead = rig.pipeline.process('ingest-0');
    dead.kill('SIGKILL');
    await dead.exitCode();
    rig.results.length = 0;
    rig.sent.length = 0;
    await rig.run();
    expect(await rig.client.get('gate')).toEqual(changed);
    expect(await rig.lookedAt(0, 7)).toEqual([0, 3, 6]);

    const reset = await rig.client.reset('gate');
    expect(reset).toMatchObject({ changed: [], settings: { interval: 0, model: SSD } });
    expect(reset.revision).toBeGreaterThan(changed.revision);
    expect(await rig.lookedAt(rig.newest() + 2, 10)).toHaveLength(10);
    expect(await rig.client.reset('gate')).toEqual(reset);
  });

  test('a change leaves the others as they are; nothing and everything can be set', async () => {
    const { client } = await Rig.start({ streams: { gate: { ...GATE, labels: ['person'], min_confidence: 0.4 } } });
    const region = { x: 0.25, y: 0.5, width: 0.75, height: 0.5 };
    await client.update('gate', { region, thresholds: { car: 0.2, person: 0.7 } });
    const all = await client.update('gate', { labels: ['person', 'car'], interval: 1 });
    expect(all.changed).toEqual(['interval', 'labels', 'thresholds', 'region']);
    expect(all.settings).toEqual({
      ...{ model: SSD, interval: 1, labels: ['person', 'car'], region },
      ...{ minConfidence: Math.fround(0.4), thresholds: { car: Math.fround(0.2), person: Math.fround(0.7) } },
    });
    const none = await client.update('gate', {}, ['labels', 'min_confidence', 'thresholds', 'region', 'interval']);
    expect(none.settings).toEqual({ model: SSD, interval: 0, labels: [], minConfidence: undefined, thresholds: {}, region: undefined });
    // As configured, although it was changed.
    expect(none.changed).toEqual(['labels', 'min_confidence']);
    const same = await client.update('gate', { interval: 0 });
    expect(same).toEqual(none);
  });

  test('what somebody else stores holds as well, and nobody overwrites it unseen', async () => {
    const rig = await Rig.start();
    const seen = await rig.client.update('gate', { interval: 1 });
    const theirs: LiveSettings = { model: SSD, interval: 4, labels: [], minConfidence: null, thresholds: {}, region: null };
    const value = encodeDesiredStream({ fields: ['interval'], settings: toStreamSettings(theirs) });
    const revision = await rig.state.put(subjects.desiredStream('gate'), value, Number(seen.revision));
    const late = await failure(rig.client.update('gate', { interval: 7 }, ['interval'], seen.revision));
    expect([late.code, late.framebus]).toEqual([grpc.ABORTED, 'STATE_CONFLICT']);
    expect(late.details).toContain(`stream "gate": is at revision ${revision}, the change is meant for ${String(seen.revision)}`);
    const now = await eventually('the change', async () => {
      const info = await rig.client.get('gate');
      return info.settings?.interval === 4 && info;
    });
    expect(now.revision).toBe(BigInt(revision));
    expect(steps(await rig.lookedAt(rig.newest() + 2, 20))).toEqual(new Set([5]));
    expect(await rig.client.update('gate', { interval: 7 }, ['interval'], now.revision)).toMatchObject({ settings: { interval: 7 } });
  });

  test('of changes that are made at once all hold', async () => {
    const rig = await Rig.start();
    const regions = [0, 0.1, 0.2, 0.3].map((x) => ({ x, y: 0, width: 0.5, height: 1 }));
    const answers = await Promise.all([
      ...regions.map((region) => rig.client.update('gate', { region })),
      rig.client.update('gate', { interval: 3 }),
      rig.client.update('gate', { minConfidence: 0.5 }),
    ]);
    const last = answers.toSorted((a, b) => Number(b.revision - a.revision))[0];
    expect(await rig.client.get('gate')).toEqual(last);
    expect(new Set(last?.changed)).toEqual(new Set(['interval', 'min_confidence', 'region']));
    expect(regions).toContainEqual(last?.settings?.region);
  });

  test('survive a NATS server that loses all that it has', async () => {
    const rig = await Rig.start();
    await rig.client.update('gate', { interval: 3 });
    await rig.pipeline.restartNats();
    const kept = await eventually('stored again', async () => {
      const { value } = await rig.state.get(subjects.desiredStream('gate'));
      return value !== null && rig.client.get('gate');
    });
    expect(kept).toMatchObject({ changed: ['interval'], settings: { interval: 3 } });
    expect(await rig.client.update('gate', { interval: 1 })).toMatchObject({ settings: { interval: 1 } });
  });
});

test('wrong input changes nothing, and says object, cause and remedy', async () => {
  const hidden = { ...GATE, osd: { conceal: { labels: ['person', 'car'] } } };
  const { client } = await Rig.start({ streams: { gate: GATE, own: { source: 'bus://program' }, hidden } });
  const before = await client.list();
  type Case = [call: () => Promise<unknown>, code: grpc, framebus: string, ...details: string[]];
  const update = (settings: Parameters<StreamClient['update']>[1], fields?: string[], stream = 'gate') => (): Promise<unknown> =>
    client.update(stream, settings, fields);
  const cases: Case[] = [
    [update({ interval: 1 }, undefined, 'nowhere'), grpc.NOT_FOUND, 'STREAM_NOT_FOUND', 'stream "nowhere": not found; known are gate, own, hidden'],
    [() => client.reset('nowhere'), grpc.NOT_FOUND, 'STREAM_NOT_FOUND', 'known are gate, own'],
    [update({ interval: 1 }, []), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'update_mask: names no setting', 'model, interval, labels'],
    [update({ interval: 1 }, ['intervall']), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'update_mask: "intervall" is no setting', '(did you mean "interval"?)'],
    [update({}, ['region.x']), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'update_mask: "region.x" is no setting'],
    [update({ interval: 10_001 }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.interval: must be a whole number from 0 to 10000, is 10001'],
    [update({ minConfidence: 1.5 }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.min_confidence: must be from 0 to 1, is 1.5'],
    [update({ thresholds: { person: -1 } }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.thresholds.person: must be from 0 to 1, is -1'],
    [update({ labels: ['persn', 'car'] }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', `streams.gate.labels: "persn": model ${SSD} has no such label`, 'Use some of: person, '],
    [update({ labels: ['car'] }, undefined, 'hidden'), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.hidden.labels: must keep person, which osd.conceal.labels names'],
    [update({ model: 'lightweight-person-detector' }, undefined, 'hidden'), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.hidden.model: lightweight-person-detector does not know car'],
    [update({ thresholds: { cat: 0.1, dgo: 0.2 } }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', `streams.gate.thresholds: "dgo": model ${SSD}`],
    [update({ region: { x: 0.5, y: 0, width: 0.6, height: 1 } }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.region: must lie within the frame'],
    [update({ region: { x: 0.5, y: 0, width: 0, height: 1 } }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.region: must lie within the frame'],
    [update({ region: { x: -0.5, y: 0, width: 0.5, height: 1 } }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.region.x: must be from 0 to 1'],
    [update({ model: 'yolo.x' }), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.gate.model: must be 1 to 64 of A-Z'],
    [update({ model: 'yolox-nano-614' }), grpc.NOT_FOUND, 'MODEL_NOT_FOUND', 'model "yolox-nano-614": there is no such manifest', 'did you mean'],
    [update({ model: SSD }, undefined, 'own'), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.own.model: the frames are published by a program of its own'],
    [update({ interval: 1, labels: ['car'] }, undefined, 'own'), grpc.INVALID_ARGUMENT, 'OPTION_INVALID', 'streams.own.interval: the frames are published'],
  ];
  for (const [call, code, framebus, ...details] of cases) {
    const error = await failure(call());
    expect([error.code, error.framebus], error.details).toEqual([code, framebus]);
    for (const text of details) expect(error.details).toContain(text);
  }
  expect(await client.list()).toEqual(before);
});

describe('another model', () => {
  const ready = (name: string): Partial<ServedModel> => ({ name, state: ModelState.MODEL_STATE_READY });
  const loading = (name: string): Partial<ServedModel> => ({ name, state: ModelState.MODEL_STATE_LOADING });
  const failed = (name: string, reason: string): Partial<ServedModel> => ({ name, reason, state: ModelState.MODEL_STATE_FAILED });

  test('gets the frames between two of them, when a worker has it and not before', async () => {
    const rig = await Rig.start();
    const say = rig.worker('infer-0');
    say([ready(SSD), { ...ready(YOLOX), streamIds: ['another'] }]);
    await eventually('frames', () => rig.sent.length > 3);
    let isDone = false;
    const change = rig.client.update('gate', { model: YOLOX, interval: 0 }).finally(() => {
      isDone = true;
    });
    await eventually('it is wanted', async () => (await rig.state.get(subjects.desiredStream('gate'))).value);
    say([ready(SSD), loading(YOLOX)]);
    const since = rig.sent.length;
    await eventually('frames go on', () => rig.sent.length > since + 10);
    expect(isDone).toBe(false);
    expect(await rig.client.get('gate')).toMatchObject({ settings: { model: SSD }, changed: [] });
    say([ready(SSD), ready(YOLOX)]);
    expect(await change).toMatchObject({ settings: { model: YOLOX }, changed: ['model'] });
    const switched = rig.sent.length;
    await eventually('frames for the new one', () => rig.sent.length > switched + 10);
    const of = (model: string): number[] => rig.sent.flatMap((sent) => (sent.model === model ? sent.seq : []));
    expect(Math.max(...of(SSD))).toBe(Math.min(...of(YOLOX)) - 1);
    expect(steps(rig.sent.map(({ seq }) => seq))).toEqual(new Set([1]));
    expect(rig.gate().filter(({ status }) => status === SKIPPED)).toEqual([]);
    // The labels of the one model may be none of the other.
    const back = await failure(rig.client.update('gate', { model: 'lightweight-person-detector', labels: ['car'] }));
    expect(back.details).toContain('"car": model lightweight-person-detector has no such label');
  });

  test('that no worker can load changes nothing, and says why', async () => {
    const rig = await Rig.start();
    const [first, second] = [rig.worker('infer-0'), rig.worker('infer-1')];
    first([ready(SSD)]);
    second([ready(SSD)]);
    const before = await rig.client.update('gate', { labels: ['car'] });
    const change = failure(rig.client.update('gate', { model: YOLOX, labels: [] }));
    await eventually('it is wanted', async () => (await rig.state.get(subjects.desiredStream('gate'))).revision > before.revision);
    first([ready(SSD), failed(YOLOX, 'checksum is wrong')]);
    second([ready(SSD), loading(YOLOX)]);
    await eventually('frames go on', () => rig.newest() > 10);
    second([ready(SSD), failed(YOLOX, 'no room')]);
    const error = await change;
    expect([error.code, error.framebus]).toEqual([grpc.FAILED_PRECONDITION, 'MODEL_UNLOADABLE']);
    expect(error.details).toContain(`stream "gate": no worker can load model "${YOLOX}": infer-0: checksum is wrong; infer-1: no room`);
    const after = await rig.client.get('gate');
    expect(after).toEqual({ ...before, revision: after.revision });
    expect(new Set(rig.sent.map(({ model }) => model))).toEqual(new Set([SSD]));
    // One that can is enough.
    const again = rig.client.update('gate', { model: YOLOX, labels: [] });
    await eventually('it is wanted again', async () => (await rig.state.get(subjects.desiredStream('gate'))).revision > after.revision);
    second([ready(SSD), ready(YOLOX)]);
    expect(await again).toMatchObject({ settings: { model: YOLOX, labels: [] } });
  });

  test('that is waited for when ingest ends is taken back', async () => {
    const rig = await Rig.start();
    rig.worker('infer-0')([ready(SSD)]);
    const before = await rig.client.update('gate', { interval: 1 });
    const change = failure(rig.client.update('gate', { model: YOLOX }));
    await eventually('it is wanted', async () => (await rig.state.get(subjects.desiredStream('gate'))).revision > before.revision);
    const ending = rig.pipeline.process('ingest-0');
    ending.kill('SIGTERM');
    const error = await change;
    expect([error.code, error.framebus]).toEqual([grpc.UNAVAILABLE, 'SHUTTING_DOWN']);
    expect(await ending.exitCode()).toBe(0);
    await rig.run();
    expect(await rig.client.get('gate')).toMatchObject({ settings: before.settings, changed: ['interval'] });
    expect((await rig.state.get(subjects.desiredStream('gate'))).revision).toBe(Number(before.revision) + 2);
  });

  test('none, and one again: lossless frames are lost neither way', async () => {
    const clip = { source: SAMPLE_CLIP, mode: 'lossless', pace: 'realtime', model: null };
    // Without sink a lossless file would wait.
    const rig = await Rig.start({ streams: { gate: clip } }, ['sink']);
    const say = rig.worker('infer-0');
    say([]);
    await eventually('frames', () => rig.gate().length > 3);
    expect(rig.sent).toEqual([]);
    const change = rig.client.update('gate', { model: SSD });
    await eventually('it is wanted', async () => (await rig.state.get(subjects.desiredStream('gate'))).value);
    say([ready(SSD)]);
    expect(await change).toMatchObject({ changed: ['model'], settings: { model: SSD } });
    await eventually('frames for the workers', () => rig.sent.length > 0);
    const first = rig.sent[0]!.seq;
    expect(await rig.client.update('gate', { model: '' })).toMatchObject({ changed: [], settings: { model: '' } });
    // Those that were sent to workers that never took them come after their time.
    const last = first + 30;
    const known = await eventually(
      () => `all results up to ${last}`,
      () => {
        const seqs = new Set(rig.gate().map(({ seq }) => seq));
        return Array.from({ length: last }, (_, seq) => seqs.has(seq)).every(Boolean) && rig.gate();
      },
      { timeoutMs: 60_000 },
    );
    expect(new Set(known.map(({ status }) => status))).toEqual(new Set([SKIPPED]));
    expect(new Set(known.map(({ seq }) => seq)).size).toBe(known.length);
  });
});
