import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import { ModelState, type ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import type { FrameRegion } from '../../../native/contract.js';
import type { DetectionFilter } from '../../../services/infer/class_thresholds.js';
import type { Generation } from '../../../services/infer/generation.js';
import type { LeasedFrame } from '../../../services/infer/leased_frame.js';
import { ModelRegistry, type StreamWants } from '../../../services/infer/model_registry.js';
import type { ServedModelParts } from '../../../services/infer/served_model.js';
import { eventually } from '../../helpers/eventually.js';
import { captureLog } from '../../helpers/log.js';

/** Labels that a model knows, by manifest; `gone` cannot be loaded. */
const LABELS: Readonly<Record<string, readonly string[]>> = { people: ['person'], traffic: ['person', 'car'], cats: ['cat'] };
const LINGER_MS = 60;

interface Loaded {
  manifest: string;
  closed: boolean;
}

/** A registry whose models are loaded when the test says so, and nothing runs. */
function create() {
  const loaded: Loaded[] = [];
  const regions: (FrameRegion | null)[] = [];
  let gate: Promise<void> = Promise.resolve();
  const { log } = captureLog();
  const check = (manifest: string, stream: string, { labels }: DetectionFilter): void => {
    const unknown = labels.find((label) => !(LABELS[manifest] ?? []).includes(label));
    if (unknown !== undefined) throw new FramebusError('CONFIG_INVALID', `streams.${stream}.labels: "${unknown}"`);
  };
  const load = async (manifest: string, filters: ReadonlyMap<string, DetectionFilter>): Promise<Generation> => {
    await gate;
    if (!Object.hasOwn(LABELS, manifest)) throw new FramebusError('MODEL_NOT_FOUND', `there is no ${manifest}`);
    for (const [stream, filter] of filters) check(manifest, stream, filter);
    const one: Loaded = { manifest, closed: false };
    loaded.push(one);
    const generation = {
      manifest: { name: manifest },
      files: { files: [], content: '' },
      signature: { engine: 'none' },
      batchSize: 1,
      setFilter: (stream: string, filter: DetectionFilter) => check(manifest, stream, filter),
      close: () => {
        one.closed = true;
        return Promise.resolve();
      },
    };
    return generation as unknown as Generation;
  };
  const parts = (_name: string, onChange: () => void): ServedModelParts => {
    const runner = { use: () => Promise.resolve(), pump: () => undefined, ready: () => null, add: () => undefined, close: () => Promise.resolve() };
    const answers = { idle: () => Promise.resolve(), work: (_leased: LeasedFrame, region: FrameRegion | null) => void regions.push(region) };
    return { runner, answers, consumers: [], load, onChange, log } as unknown as ServedModelParts;
  };
  const registry = new ModelRegistry({ parts, log, lingerMs: LINGER_MS });
  /** Models that are loaded from now on wait for what is returned. */
  const hold = (): (() => void) => {
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => (open = resolve));
    return open;
  };
  const status = (name: string): ServedModelStatus | undefined => registry.get(name)?.status();
  return { registry, loaded, regions, hold, status };
}

const wants = (model: string | null, labels: string[] = [], region: FrameRegion | null = null): StreamWants => ({
  model,
  view: { labels, minConfidence: null, thresholds: {}, weakConfidence: null, region },
  secondary: [],
});

const frame = { streamId: 'gate', lease: { format: { width: 100, height: 50 } } } as unknown as LeasedFrame;

describe('ModelRegistry', () => {
  it('keeps a model that was left while frames come for it, with what the stream wanted of it', async () => {
    const { registry, loaded, regions, status } = create();
    await registry.setStream('gate', wants('people', [], { x: 0.5, y: 0, width: 0.5, height: 1 }));
    await registry.setStream('gate', wants('traffic'));
    expect(status('people')?.streamIds).toEqual([]);
    for (let index = 0; index < 8; index++) {
      registry.get('people')?.add(frame);
      await sleep(LINGER_MS / 3);
    }
    expect(status('people')?.state).toBe(ModelState.MODEL_STATE_READY);
    expect(regions).toEqual(Array.from({ length: 8 }, () => ({ x: 50, y: 0, width: 50, height: 50 })));
    await eventually('it is gone', () => registry.get('people') === undefined && loaded[0]?.closed);
    expect(registry.names()).toEqual(['traffic']);
  });

  it('keeps one that is asked for again before it is gone', async () => {
    const { registry, loaded } = create();
    await registry.setStream('gate', wants('people'));
    await registry.setStream('gate', wants(null));
    await registry.setStream('gate', wants('people'));
    await sleep(LINGER_MS * 3);
    expect(loaded).toEqual([{ manifest: 'people', closed: false }]);
  });

  it('refuses labels that a model does not know, says why, and keeps what held', async () => {
    const { registry, status } = create();
    await registry.setStream('gate', wants('people', ['person']));
    await expect(registry.setStream('gate', wants('people', ['car']))).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(status('people')).toMatchObject({ reason: 'streams.gate.labels: "car"', streamIds: ['gate'] });
    // The view that holds must fit the next model; the one that was refused need not.
    await registry.swap('people', 'traffic');
    await expect(registry.swap('people', 'cats')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(status('people')).toMatchObject({ manifest: 'traffic', generation: 2 });
    await registry.setStream('gate', wants('people', ['car']));
    await registry.swap('people', 'traffic');
    expect(status('people')).toMatchObject({ reason: '', generation: 3 });
  });

  it('checks what was changed while the other model was loaded, and lets that one go', async () => {
    const { registry, loaded, hold, status } = create();
    await registry.setStream('gate', wants('traffic', ['person']));
    const open = hold();
    const swap = registry.swap('traffic', 'people');
    await eventually('it loads', () => status('traffic')?.loading === 'people');
    await registry.setStream('gate', wants('traffic', ['car']));
    open();
    await expect(swap).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(status('traffic')).toMatchObject({ manifest: 'traffic', generation: 1, loading: '' });
    expect(loaded.filter(({ closed }) => !closed)).toEqual([{ manifest: 'traffic', closed: false }]);
  });

  it('makes changes one after the other, also of one that is being loaded', async () => {
    const { registry, loaded, hold, status } = create();
    const open = hold();
    const first = registry.setStream('gate', wants('people'));
    const second = registry.swap('people', 'traffic');
    const third = registry.swap('people', 'gone');
    const fourth = registry.swap('people', null);
    open();
    await Promise.all([first, second, expect(third).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' }), fourth]);
    expect(loaded.map(({ manifest }) => manifest)).toEqual(['people', 'traffic', 'traffic']);
    await eventually('the others are closed', () => loaded.filter(({ closed }) => !closed).length === 1);
    expect(status('people')).toMatchObject({ manifest: 'traffic', generation: 3, reason: '' });
  });

  it('tries once more what could not be loaded when somebody asks again', async () => {
    const { registry, status } = create();
    registry.assign('people', 'gone');
    await expect(registry.setStream('gate', wants('people'))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(status('people')).toMatchObject({ state: ModelState.MODEL_STATE_FAILED, reason: 'there is no gone', streamIds: ['gate'] });
    expect(registry.notReady()).toContain('there is no gone');
    await expect(registry.setStream('gate', wants('people'))).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await registry.swap('people', 'people');
    expect(status('people')).toMatchObject({ state: ModelState.MODEL_STATE_READY, reason: '', manifest: 'people', generation: 1 });
    expect(registry.notReady()).toBeNull();
  });

  it('leaves nothing of a load that nobody confirms, and loads what is confirmed', async () => {
    const { registry, loaded, status } = create();
    const no = (): Promise<void> => Promise.reject(new FramebusError('STATE_CONFLICT', 'somebody else was first'));
    await expect(registry.tryLoad('mine', 'people', no)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    await expect(registry.tryLoad('mine', 'gone', () => Promise.resolve())).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(registry.names()).toEqual([]);
    expect(registry.manifestOf('mine')).toBe('mine');
    await registry.tryLoad('mine', 'people', () => Promise.resolve());
    await sleep(LINGER_MS * 2);
    expect(status('mine')).toMatchObject({ pinned: true, manifest: 'people' });
    await expect(registry.tryLoad('mine', 'traffic', no)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    expect(status('mine')).toMatchObject({ pinned: true, manifest: 'people', generation: 1 });
    registry.unload('mine');
    expect(registry.names()).toEqual([]);
    await eventually('all are closed', () => loaded.every(({ closed }) => closed));
  });

  it('does not wait for a model that is being loaded when it closes, and lets it go when it is there', async () => {
    const { registry, loaded, hold } = create();
    await registry.setStream('gate', wants('people'));
    const open = hold();
    const swap = registry.swap('people', 'traffic');
    await registry.close();
    open();
    await expect(swap).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(loaded).toEqual([
      { manifest: 'people', closed: true },
      { manifest: 'traffic', closed: true },
    ]);
  });
});
