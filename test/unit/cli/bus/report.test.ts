import { expect, test } from 'vitest';
import { busReport } from '../../../../cli/bus/report.js';
import { ServiceStatus } from '#proto/framebus/status/v1/status.js';

const ingest = ServiceStatus.fromPartial({
  service: 'ingest',
  instance: 'ingest-0',
  pools: [
    {
      streamId: 'gate',
      epoch: 'e'.repeat(32),
      memory: 'shm',
      width: 768,
      height: 576,
      slots: 21,
      capacity: 16,
      free: 12,
      writing: 5,
      published: 4,
      framesPublished: 1234n,
      framesDisplaced: 2n,
      groups: [{ name: 'sink', hold: 10, delivered: 1230n, missed: 1n }],
      consumers: [
        { consumer: 'sink-0', group: 'sink', uid: 1000, hold: 10, held: 3, heldMost: 7, delivered: 1230n, stale: 4n, quota: 5n, displaced: 6n, revoked: 1n },
        { consumer: 'mine', group: 'png', uid: 0, hold: 4, held: 1, heldMost: 1, delivered: 9n },
      ],
    },
  ],
});

test('pools, groups and consumers, one table each', () => {
  expect(busReport([ingest])).toBe(
    [
      'stream  producer  memory  size     slots  free  writing  published  held  of  frames  displaced',
      'gate    ingest-0  shm     768×576     21    12        5          4     4  16    1234          2',
      '',
      'stream  group  hold  delivered  missed',
      'gate    sink     10       1230       1',
      '',
      'stream  consumer  group   uid  held  most  hold  delivered  stale  quota  displaced  revoked',
      'gate    sink-0    sink   1000     3     7    10       1230      4      5          6        1',
      'gate    mine      png       0     1     1     4          9      0      0          0        0',
    ].join('\n'),
  );
});

test('says so when there is nothing to show', () => {
  expect(busReport([])).toBe('No pools: no stream has had a frame yet.');
  const [pool] = ingest.pools;
  const lonely = { ...ingest, pools: pool === undefined ? [] : [{ ...pool, retired: true, groups: [], consumers: [] }] };
  expect(busReport([lonely])).toContain('gate (retired)');
  expect(busReport([lonely])).toContain('No consumer is attached.');
});
