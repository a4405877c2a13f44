import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ConsumerStatus } from '#proto/framebus/status/v1/status.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const LIVE = { source: SAMPLE_CLIP, loop: true };
const DEADLINE = { bus: { lease_deadline: '500ms' } };

const isInferred = ({ status }: { status: InferenceStatus }): boolean =>
  status === InferenceStatus.INFERENCE_STATUS_INFERRED;

/** Waits until this many inferred records have come since now. */
async function inferredRecords(pipeline: Pipeline, count: number): Promise<void> {
  const from = pipeline.records.length;
  await eventually(
    () => `${count} more inferred records\n${pipeline.output()}`,
    () => pipeline.records.slice(from).filter(isInferred).length >= count,
    { timeoutMs: 60_000 },
  );
}

/** A consumer as ingest sees it, on any of its pools. */
const consumerOf = (pipeline: Pipeline, name: string): ConsumerStatus | undefined =>
  pipeline
    .status('ingest')
    ?.pools.flatMap(({ consumers }) => consumers)
    .find(({ consumer }) => consumer === name);

describe('when a consumer is stopped for longer than a lease may last', () => {
  it('a worker loses its frames, nobody else does, and it works again when it goes on', async () => {
    const pipeline = await Pipeline.create({ ...DEADLINE, streams: { gate: LIVE, yard: LIVE } });
    await Promise.all([pipeline.run('sink'), pipeline.run('infer'), pipeline.run('infer', 'infer-1')]);
    await pipeline.run('ingest');
    await inferredRecords(pipeline, 20);
    const stopped = pipeline.process('infer-1');
    stopped.kill('SIGSTOP');
    await inferredRecords(pipeline, 40);
    stopped.kill('SIGCONT');
    await inferredRecords(pipeline, 20);
    await eventually(
      () => `infer-1 leases again\n${pipeline.output()}`,
      () => (consumerOf(pipeline, 'infer-1')?.delivered ?? 0n) > 3n,
    );
    // It may have been stopped without a frame; then nothing was taken from it.
    if (/fenced/.test(pipeline.process('ingest-0').stderr)) {
      expect(pipeline.process('infer-1').stderr).toMatch(/attaching again/);
      expect(consumerOf(pipeline, 'infer-1')?.revoked).toBeGreaterThan(0n);
    }
    for (const id of ['gate', 'yard']) {
      const seqs = pipeline.records.filter(({ streamId }) => streamId === id).map(({ seq }) => seq);
      expect(seqs, id).toEqual([...new Set(seqs)].sort((a, b) => (a < b ? -1 : 1)));
    }
  }, 120_000);

  it('sink learns it, attaches again, and its pictures go on; the numbers tell of it', async () => {
    const streams = { gate: LIVE, yard: LIVE, hall: LIVE, dock: LIVE };
    const pipeline = await Pipeline.create({ ...DEADLINE, streams });
    await pipeline.runAll();
    await eventually('pictures', () => (pipeline.stream('sink', 'gate')?.framesOut ?? 0n) > 10n);
    const [sink, worker] = [pipeline.process('sink-0'), pipeline.process('infer-0')];
    await eventually(
      () => `a fence while sink holds a frame\n${pipeline.output()}`,
      async () => {
        // While a worker is stopped with a frame, sink holds those that come after it.
        worker.kill('SIGSTOP');
        await sleep(250);
        sink.kill('SIGSTOP');
        await sleep(1_200);
        for (const stopped of [worker, sink]) stopped.kill('SIGCONT');
        await sleep(1_000);
        return /fenced.*"sink-0"/.test(pipeline.process('ingest-0').stderr);
      },
      { timeoutMs: 60_000 },
    );
    await sink.output(/the producer took its frames back; attaching again/);
    const before = pipeline.stream('sink', 'gate')?.framesOut ?? 0n;
    await eventually('pictures again', () => (pipeline.stream('sink', 'gate')?.framesOut ?? 0n) > before + 10n);

    const json = runNode(['cli/framebus.mjs', 'bus', 'status', '--json', '-a', pipeline.address('grpc')]);
    expect(await json.exitCode(), json.stderr).toBe(0);
    const { pools } = JSON.parse(json.stdout) as { pools: { streamId: string; consumers: ConsumerStatus[] }[] };
    const own = pools.find(({ streamId }) => streamId === 'gate')?.consumers.find(({ consumer }) => consumer === 'sink-0');
    expect(own).toMatchObject({ group: 'sink' });
    expect(Number(own?.revoked)).toBeGreaterThan(0);
    expect(Number(own?.delivered)).toBeGreaterThan(0);

    const http = pipeline.status('ingest')?.addresses['http'] ?? '';
    const metrics = await (await fetch(`${http}/metrics`)).text();
    expect(metrics).toMatch(/framebus_bus_revocations_total\{consumer="sink-0",group="sink",.*\} [1-9]/);
    expect(metrics).toMatch(/framebus_bus_frames_published_total\{stream="gate",.*\} [1-9]/);
    expect(metrics).toMatch(/framebus_bus_held_frames\{stream="gate",consumer="sink-0",group="sink",what="granted",.*\} 10/);
  }, 120_000);
});

describe('a bus with a token', () => {
  it('refuses a worker that has another one, and says what to do; the right one is let in', async () => {
    const folder = tempFolder();
    const token = (name: string, text: string): string => {
      const file = join(folder, name);
      writeFileSync(file, `${text}\n`, { mode: 0o600 });
      return file;
    };
    const right = { bus: { token_file: token('right', 'open sesame') } };
    const pipeline = await Pipeline.create({ ...right, streams: { gate: LIVE } });
    const wrong = pipeline.variant({ bus: { token_file: token('wrong', 'open barley') } });
    await Promise.all([pipeline.run('sink'), pipeline.run('infer', 'infer-1', wrong)]);
    await pipeline.run('ingest');
    await pipeline.process('infer-1').output(/token/);
    expect(pipeline.output()).not.toMatch(/sesame|barley/);
    await pipeline.run('infer');
    await inferredRecords(pipeline, 5);
    expect(consumerOf(pipeline, 'infer-0')).toBeDefined();
    expect(consumerOf(pipeline, 'infer-1')).toBeUndefined();
  }, 120_000);
});
