import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { PoolMetrics } from '../../../../lib/bus/pool_metrics.js';
import type { ConsumerState, PoolState } from '../../../../native/contract.js';

const consumer = (rest: Partial<ConsumerState> = {}): ConsumerState => ({
  consumer: 'sink-0',
  group: 'sink',
  peerUid: 0,
  hold: 10,
  held: 1,
  heldMost: 2,
  delivered: 5n,
  stale: 1n,
  quota: 0n,
  displaced: 0n,
  revoked: 0n,
  ...rest,
});

const pool = (rest: Partial<PoolState> = {}): PoolState => ({
  streamId: 'gate',
  epoch: 'a',
  memory: 'shm',
  width: 64,
  height: 48,
  slots: 17,
  capacity: 16,
  free: 10,
  writing: 3,
  published: 4,
  retired: false,
  framesPublished: 100n,
  framesDisplaced: 3n,
  groups: [{ name: 'sink', hold: 10, delivered: 90n, missed: 2n }],
  consumers: [consumer()],
  ...rest,
});

function rig(first: PoolState[]) {
  const registry = new Registry();
  const pools = { now: first };
  const metrics = new PoolMetrics(registry, () => pools.now);
  /** Value of one sample, by its line without the number. */
  const read = async (sample: string): Promise<number | undefined> => {
    const line = (await registry.metrics()).split('\n').find((each) => each.startsWith(`${sample} `));
    return line === undefined ? undefined : Number(line.slice(sample.length + 1));
  };
  return { pools, metrics, read };
}

test('a stream counts on through its epochs', async () => {
  const { pools, read } = rig([pool()]);
  const published = 'framebus_bus_frames_published_total{stream="gate"}';
  expect(await read(published)).toBe(100);
  expect(await read(published)).toBe(100);
  pools.now = [pool({ framesPublished: 130n, retired: true }), pool({ epoch: 'b', framesPublished: 7n })];
  expect(await read(published)).toBe(137);
  pools.now = [pool({ epoch: 'b', framesPublished: 9n })];
  expect(await read(published)).toBe(139);
  expect(await read('framebus_bus_deliveries_total{stream="gate",group="sink",outcome="delivered"}')).toBe(180);
});

test('connections of one name count together, and one that comes back begins anew', async () => {
  const { pools, read } = rig([pool({ consumers: [consumer(), consumer({ delivered: 3n })] })]);
  const delivered = 'framebus_bus_consumer_frames_total{stream="gate",consumer="sink-0",group="sink",outcome="delivered"}';
  expect(await read(delivered)).toBe(8);
  expect(await read('framebus_bus_held_frames{stream="gate",consumer="sink-0",group="sink",what="now"}')).toBe(2);
  pools.now = [pool({ consumers: [consumer({ delivered: 2n })] })];
  expect(await read(delivered)).toBe(10);
});

test('slots are those of all pools now; who has gone holds nothing', async () => {
  const { pools, metrics, read } = rig([pool(), pool({ epoch: 'b' })]);
  expect(await read('framebus_bus_slots{stream="gate",memory="shm",state="free"}')).toBe(20);
  pools.now = [pool({ consumers: [] })];
  expect(await read('framebus_bus_slots{stream="gate",memory="shm",state="free"}')).toBe(10);
  expect(await read('framebus_bus_held_frames{stream="gate",consumer="sink-0",group="sink",what="now"}')).toBeUndefined();
  metrics.revoked('sink-0', 'sink');
  expect(await read('framebus_bus_revocations_total{consumer="sink-0",group="sink"}')).toBe(1);
});
