import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { StreamStatus } from '#proto/framebus/status/v1/status.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';

const LIVE = { source: SAMPLE_CLIP, loop: true };

/** Waits until this many inferred records have come since now. */
async function inferredRecords(pipeline: Pipeline, count: number): Promise<void> {
  const from = pipeline.records.length;
  await eventually(
    () => `${count} more inferred records\n${pipeline.output()}`,
    () =>
      pipeline.records
        .slice(from)
        .filter((r) => r.status === InferenceStatus.INFERENCE_STATUS_INFERRED).length >= count,
    { timeoutMs: 60_000 },
  );
}

/** Records come in order, and every frame without one is counted with its reason. */
async function expectAccounted(pipeline: Pipeline, id: string): Promise<void> {
  await eventually(
    () => {
      const counts = [pipeline.stream('ingest', id), pipeline.stream('sink', id)];
      const records = pipeline.records.filter((r) => r.streamId === id).length;
      const text = JSON.stringify(counts, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v));
      return `a record or a reason for every frame of ${id}: ${records} records, ${text}`;
    },
    () => {
      const decoded = pipeline.stream('ingest', id)?.framesIn;
      const records = BigInt(pipeline.records.filter((r) => r.streamId === id).length);
      const late = pipeline.stream('sink', id)?.drops['late'] ?? 0n;
      const noSlot = pipeline.stream('ingest', id)?.drops['pool_exhausted'] ?? 0n;
      return decoded === records + late + noSlot;
    },
  );
  const seqs = pipeline.records.filter((r) => r.streamId === id).map((r) => r.seq);
  expect(seqs, id).toEqual(seqs.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(new Set(seqs).size).toBe(seqs.length);
}

describe('when a process is killed', () => {
  it('infer: the video goes on without detections, and they come back with a new worker', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: LIVE } });
    await pipeline.runAll();
    await inferredRecords(pipeline, 5);
    pipeline.process('infer-0').kill('SIGKILL');
    await pipeline.process('infer-0').exitCode();
    const from = pipeline.records.length;
    await eventually('20 records without a worker', () => pipeline.records.length >= from + 20);
    await pipeline.run('infer');
    await inferredRecords(pipeline, 5);
    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    await expectAccounted(pipeline, 'gate');
  }, 120_000);

  it('sink: ingest and infer go on, and a new sink takes up the streams', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: LIVE } });
    await pipeline.runAll();
    await inferredRecords(pipeline, 5);
    pipeline.process('sink-0').kill('SIGKILL');
    await pipeline.process('sink-0').exitCode();
    const decoded = pipeline.stream('ingest', 'gate')?.framesIn ?? 0n;
    await eventually(
      'ingest goes on',
      () => (pipeline.stream('ingest', 'gate')?.framesIn ?? 0n) > decoded + 20n,
    );
    await pipeline.run('sink');
    await inferredRecords(pipeline, 5);
    await eventually('pictures again', () => (pipeline.stream('sink', 'gate')?.framesOut ?? 0n) > 5n);
  }, 120_000);

  it('ingest: the others wait, and follow the new one to its new pool', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: LIVE } });
    await pipeline.runAll();
    await inferredRecords(pipeline, 5);
    const epoch = pipeline.records.at(-1)?.epoch?.uuid;
    pipeline.process('ingest-0').kill('SIGKILL');
    await pipeline.process('ingest-0').exitCode();
    await pipeline.run('ingest');
    await eventually(
      'records of a new epoch',
      () => pipeline.records.at(-1)?.epoch?.uuid !== epoch,
    );
    await inferredRecords(pipeline, 5);
    expect(readdirSync(pipeline.busDirectory).filter((name) => name.endsWith('.sock'))).toEqual([
      'ingest-0.sock',
    ]);
  }, 120_000);

  it('NATS: a file that is played without loss loses nothing', async () => {
    const file = { source: SAMPLE_CLIP, mode: 'lossless', pace: 'fast', interval: 3 };
    const pipeline = await Pipeline.create({ streams: { file } });
    await pipeline.runAll();
    await inferredRecords(pipeline, 10);
    await pipeline.restartNats();
    // Records on their way to this test may be lost with the server; pictures are not.
    const sink = (): StreamStatus | undefined => pipeline.stream('sink', 'file');
    await eventually(
      () => `795 pictures; there are ${String(sink()?.framesOut)}\n${pipeline.output()}`,
      () => sink()?.framesOut === 795n,
      { timeoutMs: 100_000 },
    );
    expect(sink()?.drops['stale'] ?? 0n).toBe(0n);
  }, 150_000);

  it('one of two workers: its frames go on un-inferred, and the other never pauses', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: LIVE, yard: LIVE, hall: LIVE } });
    await Promise.all([
      pipeline.run('sink'),
      pipeline.run('infer'),
      pipeline.run('infer', 'infer-1'),
    ]);
    await pipeline.run('ingest');
    await inferredRecords(pipeline, 15);
    pipeline.process('infer-1').kill('SIGKILL');
    await inferredRecords(pipeline, 30);
    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    for (const id of ['gate', 'yard', 'hall']) await expectAccounted(pipeline, id);
  }, 120_000);
});
