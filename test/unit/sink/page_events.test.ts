import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { PageEvents } from '../../../services/sink/page_events.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventually } from '../../helpers/eventually.js';

const record = (streamId: string, seq: number) =>
  DetectionRecord.fromPartial({
    streamId,
    seq: BigInt(seq),
    model: 'm',
    latencyNs: 12_345_678n,
    stages: { engineNs: 9_876_543n },
    detections: [{ label: 'person', confidence: 0.9, trackId: (1_700_000_000n << 32n) | 5n, attributes: [{ label: 'red' }] }],
  });

interface Told {
  streamId: string;
  seq: number;
  stages?: Record<string, number>;
  items: unknown[];
}

/** A browser that listens; `told` is what it was told of detections. */
async function listen(events: PageEvents, alone: string | null): Promise<Told[]> {
  const server = createServer((_, response) => {
    events.add(response, alone);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const told: Told[] = [];
  const request = get(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (piece: string) => {
    const blocks = (text + piece).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, json] = /^event: detections\ndata: (.*)$/.exec(block) ?? [];
      if (json !== undefined) told.push(JSON.parse(json) as Told);
    }
  });
  response.on('error', () => undefined);
  return told;
}

it('tells a browser that shows one stream more of it, and nothing of others', async () => {
  let nowMs = 0;
  const events = new PageEvents(() => nowMs);
  const among = await listen(events, null);
  const alone = await listen(events, 'gate');
  for (let seq = 0; seq <= 50; seq++, nowMs += 40) {
    events.see(record('gate', seq));
    events.see(record('yard', seq));
  }
  const seqs = (told: Told[], stream: string) => told.filter(({ streamId }) => streamId === stream).map(({ seq }) => seq);
  await eventually('all', () => seqs(alone, 'gate').length === 11 && seqs(among, 'yard').length === 3);
  expect(seqs(alone, 'gate')).toEqual([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
  expect(seqs(alone, 'yard')).toEqual([]);
  expect(seqs(among, 'gate')).toEqual([0, 25, 50]);
  expect(among[0]?.stages).toBeUndefined();
  expect(alone[0]).toMatchObject({ latencyMs: 12, stages: { engine: 9.88 } });
  expect(alone[0]?.items).toEqual([
    // The whole id, which a number of JavaScript could not hold, and the part that the picture shows.
    { label: 'person', confidence: expect.closeTo(0.9) as number, color: expect.stringMatching(/^#[0-9a-f]{6}$/) as string, trackId: '7301444403200000005', track: 5, attributes: ['red'] },
  ]);
});
