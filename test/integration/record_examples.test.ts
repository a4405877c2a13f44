import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { ROOT, runNode, TestProcess } from '../helpers/process.js';
import { SinkRig, subscribe, TestProducer } from '../helpers/sink_rig.js';
import { tempFolder } from '../helpers/temp.js';

type Follow = (address: string, place: string, count: number) => TestProcess;

test.each<[string, Follow]>([
  [
    'follow-detections.mjs',
    (address, place, count) =>
      runNode(['examples/follow-detections.mjs', '--address', address, '--place', place, '--count', String(count)]),
  ],
  [
    'follow_detections.py',
    (address, place, count) =>
      new TestProcess('/usr/bin/python3', [
        join(ROOT, 'examples', 'follow_detections.py'),
        join(ROOT, 'gen', 'descriptor.binpb'),
        place,
        address,
        String(count),
      ]),
  ],
])('%s goes on where it was, also when the sink was killed', async (_name, follow) => {
  const port = 40_000 + (process.pid % 20_000);
  const rig = await SinkRig.start(['gate'], { grpc: port });
  const { process: sink, addresses } = await rig.sink();
  const live = subscribe(addresses.grpc);
  void live.error;
  await live.started;
  const producer = new TestProducer(rig.directory, rig.nats);
  producer.play('gate', { count: 30, wait: true });
  await eventually('all records', () => live.responses.length === 30);
  const place = join(tempFolder(), 'place');
  const first = follow(addresses.grpc, place, 10);
  expect(await first.exitCode(), first.stderr).toBe(0);
  const second = follow(addresses.grpc, place, 30);
  await eventually('20 lines', () => second.stdout.split('\n').length > 20);
  sink.kill('SIGKILL');
  await second.output(/trying again/);
  await rig.sink();
  producer.play('gate', { count: 10, wait: true });
  expect(await second.exitCode(), second.stderr).toBe(0);
  const lines = [...first.stdout.trim().split('\n'), ...second.stdout.trim().split('\n')];
  const seqs = [...Array(30).keys(), ...Array(10).keys()];
  expect(lines.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(seqs.map((seq) => `gate ${seq}`));
  expect(lines[0]).toMatch(/person/);
});
