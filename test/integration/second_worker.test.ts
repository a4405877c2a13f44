import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ServiceState } from '#proto/framebus/status/v1/status.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode, type TestProcess } from '../helpers/process.js';

/** A port that is free now; a test of fixed ports has no better way. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Fixture {
  pipeline: Pipeline;
  /** Types `framebus infer -c framebus.yaml`, and what else is given. */
  infer: (...args: string[]) => TestProcess;
  httpPort: number;
  grpcPort: number;
  /** HTTP address of an instance that runs. */
  running: (instance: string, process: TestProcess) => Promise<string>;
}

/** One configuration with fixed ports, for everybody. */
async function create(): Promise<Fixture> {
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  const pipeline = await Pipeline.create({
    infer: { http: { port: httpPort }, grpc: { port: grpcPort }, threads: 1 },
    streams: { gate: { source: SAMPLE_CLIP, loop: true }, file: { source: SAMPLE_CLIP, mode: 'lossless', pace: 'fast' } },
  });
  const infer = (...args: string[]): TestProcess => runNode(['cli/framebus.mjs', 'infer', '-c', pipeline.config, ...args]);
  const running = (instance: string, process: TestProcess): Promise<string> =>
    eventually(
      () => `${instance} running; it said:\n${process.stderr}`,
      () => {
        const status = pipeline.status('infer', instance);
        return status?.state === ServiceState.SERVICE_STATE_RUNNING && status.addresses['http'];
      },
      { timeoutMs: 60_000 },
    );
  return { pipeline, infer, httpPort, grpcPort, running };
}

describe('framebus infer, typed twice with one configuration', () => {
  it('gives two workers: the second takes a name and ports that are free, and says so', async () => {
    const { pipeline, infer, httpPort, grpcPort, running } = await create();
    const first = infer();
    expect(await running('infer-0', first)).toBe(`http://127.0.0.1:${httpPort}`);
    const second = infer();
    const address = await running('infer-0-2', second);
    expect(address).not.toBe(`http://127.0.0.1:${httpPort}`);
    expect(second.stderr).toContain('another instance is called infer-0; this one is infer-0-2');
    expect(second.stderr).toMatch(new RegExp(`infer\\.http\\.port ${httpPort} is in use; listening on \\d+ instead`));
    expect(second.stderr).toMatch(new RegExp(`infer\\.grpc\\.port ${grpcPort} is in use; listening on \\d+ instead`));
    const rpc = ['infer-0', 'infer-0-2'].map((name) => pipeline.status('infer', name)?.addresses['grpc']);
    expect([rpc[0], new Set(rpc).size]).toEqual([`127.0.0.1:${grpcPort}`, 2]);
    expect((await fetch(`${address}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${address}/metrics`)).text()).toContain('instance="infer-0-2"');
    expect((await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status).toBe(200);

    // Both are members of one group: the frames are shared, none is looked at twice.
    await pipeline.run('sink');
    await pipeline.run('ingest');
    const inferred = (name: string): number =>
      Number(pipeline.status('infer', name)?.streams.find(({ streamId }) => streamId === 'file')?.framesInferred ?? 0n);
    await eventually(
      () => `795 frames from two workers, have ${inferred('infer-0')} and ${inferred('infer-0-2')}\n${second.stderr}`,
      () => inferred('infer-0') + inferred('infer-0-2') >= 795,
      { timeoutMs: 100_000 },
    );
    expect(inferred('infer-0') + inferred('infer-0-2')).toBe(795);
    expect(Math.min(inferred('infer-0'), inferred('infer-0-2'))).toBeGreaterThan(50);

    // A name is free again however its owner has ended.
    first.kill('SIGKILL');
    await first.exitCode();
    const third = infer();
    expect(await running('infer-0', third)).toBe(`http://127.0.0.1:${httpPort}`);
    expect(third.stderr).not.toContain('another instance');
  }, 240_000);

  it('gives as many as are started at once, each with a name of its own', async () => {
    const { infer } = await create();
    const names = await Promise.all(
      [infer(), infer(), infer()].map(async (worker) => (await worker.output(/(infer-0\S*) starting/))[1]),
    );
    expect(names.toSorted()).toEqual(['infer-0', 'infer-0-2', 'infer-0-3']);
  });

  it('insists on what the command line says', async () => {
    const { infer, httpPort, grpcPort, running } = await create();
    const first = infer();
    await running('infer-0', first);
    const named = infer('--name', 'infer-0');
    expect(await named.exitCode()).toBe(69);
    expect(named.stderr).toContain('infer infer-0: another instance on this machine has this name');
    expect(named.stderr).toContain('Give another --name, or none');
    const ported = infer('--http-port', String(httpPort));
    expect(await ported.exitCode()).toBe(69);
    expect(ported.stderr).toContain(`infer.http.port: 127.0.0.1:${httpPort} is in use by another program`);
    const rpc = infer('--grpc-port', String(grpcPort));
    expect(await rpc.exitCode()).toBe(69);
    expect(rpc.stderr).toContain(`infer.grpc.port: 127.0.0.1:${grpcPort} is in use by another program`);
    const odd = infer('--grpc-port', '70000');
    expect(await odd.exitCode()).toBe(64);
    expect(odd.stderr).toContain('--grpc-port 70000: must be a number from 0 to 65535');
  });
});
