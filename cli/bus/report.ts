import type { ConsumerStatus, PoolStatus, ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { table } from '../status/table.js';

/** A pool, and the producer that owns it. */
export interface OwnedPool {
  producer: string;
  pool: PoolStatus;
}

/** The pools of all producers, by stream, newest epoch last. */
export function poolsOf(services: readonly ServiceStatus[]): OwnedPool[] {
  return services
    .flatMap(({ instance, pools }) => pools.map((pool) => ({ producer: instance, pool })))
    .sort((a, b) => a.pool.streamId.localeCompare(b.pool.streamId));
}

/** The frame bus for people: its pools, the groups on their routes, who is attached. */
export function busReport(services: readonly ServiceStatus[]): string {
  const pools = poolsOf(services);
  if (pools.length === 0) return 'No pools: no stream has had a frame yet.';
  return [poolTable(pools), groupTable(pools), consumerTable(pools)].filter((part) => part !== '').join('\n\n');
}

function poolTable(pools: readonly OwnedPool[]): string {
  const head = ['stream', 'producer', 'memory', 'size', 'slots', 'free', 'writing', 'published', 'held', 'of', 'frames', 'displaced'];
  const rows = pools.map(({ producer, pool }) => [
    pool.streamId + (pool.retired ? ' (retired)' : ''),
    producer,
    pool.memory,
    `${String(pool.width)}×${String(pool.height)}`,
    String(pool.slots),
    String(pool.free),
    String(pool.writing),
    String(pool.published),
    String(pool.consumers.reduce((sum, { held }) => sum + held, 0)),
    String(pool.capacity),
    String(pool.framesPublished),
    String(pool.framesDisplaced),
  ]);
  return table([head, ...rows], new Set([4, 5, 6, 7, 8, 9, 10, 11]));
}

function groupTable(pools: readonly OwnedPool[]): string {
  const rows = pools.flatMap(({ pool }) =>
    pool.groups.map(({ name, hold, delivered, missed }) => [
      pool.streamId,
      name,
      String(hold),
      String(delivered),
      String(missed),
    ]),
  );
  if (rows.length === 0) return '';
  return table([['stream', 'group', 'hold', 'delivered', 'missed'], ...rows], new Set([2, 3, 4]));
}

function consumerTable(pools: readonly OwnedPool[]): string {
  const head = ['stream', 'consumer', 'group', 'uid', 'held', 'most', 'hold', 'delivered', 'stale', 'quota', 'displaced', 'revoked'];
  const rows = pools.flatMap(({ pool }) => pool.consumers.map((consumer) => consumerRow(pool.streamId, consumer)));
  if (rows.length === 0) return 'No consumer is attached.';
  return table([head, ...rows], new Set([3, 4, 5, 6, 7, 8, 9, 10, 11]));
}

function consumerRow(stream: string, consumer: ConsumerStatus): string[] {
  const { uid, held, heldMost, hold, delivered, stale, quota, displaced, revoked } = consumer;
  const numbers = [uid, held, heldMost, hold, delivered, stale, quota, displaced, revoked];
  return [stream, consumer.consumer, consumer.group, ...numbers.map(String)];
}
