import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { DemoReport } from '../../cli/demo/report.js';
import { eventually } from '../helpers/eventually.js';
import { runNode, TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const FLOWING_WITHIN_MS = 90_000;

/** The demo with a temporary folder of its own, so that what it leaves can be seen. */
function demo(...args: string[]): { process: TestProcess; folder: string } {
  const folder = tempFolder();
  return { process: runNode(['dist/cli/main.js', 'demo', ...args], { env: environment(folder) }), folder };
}

function environment(folder: string): Record<string, string | undefined> {
  return { TMPDIR: folder, NATS_URL: undefined, XDG_RUNTIME_DIR: undefined };
}

/** Command lines of the processes that use a folder, its descendants included. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${folder}\0`)
          ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
          : '';
      } catch {
        return '';
      }
    })
    .filter((commandLine) => commandLine !== '');
}

function sharedMemory(): string[] {
  return readdirSync('/dev/shm');
}

describe('framebus demo', () => {
  it('plays the clip through all services, reports, and leaves nothing', async () => {
    const memoryBefore = sharedMemory();
    const { process, folder } = demo('--json', '--duration', '8s', '--streams', '2');
    expect(await process.exitCode(), process.stderr).toBe(0);
    const report = JSON.parse(process.stdout) as DemoReport;
    expect(report.streams.map(({ id }) => id)).toEqual(['vtest', 'vtest-2']);
    for (const stream of report.streams) {
      expect(stream).toMatchObject({ width: 768, height: 576 });
      expect(stream.fps).toBeGreaterThan(5);
      expect(stream.frames_inferred).toBeGreaterThan(0);
      expect(stream.detections).toBeGreaterThan(0);
      expect(stream.latency_ms.p50).toBeGreaterThan(0);
      expect(stream.latency_ms.p99).toBeGreaterThanOrEqual(stream.latency_ms.p50);
      const unsent = ['late', 'duplicate', 'stale', 'encoder_full'].map((key) => stream.drops[key] ?? 0);
      const lost = unsent.reduce((sum, count) => sum + count, 0) + (stream.drops['pool_exhausted'] ?? 0);
      expect(stream.frames_sent + lost).toBe(stream.frames_decoded);
    }
    expect(report.rtsp).toHaveLength(2);
    expect(report.rtsp[0]).toMatch(/^rtsp:\/\/127\.0\.0\.1:\d+\/vtest$/);
    expect(report.grpc).toMatch(/^127\.0\.0\.1:\d+$/);
    for (const seconds of Object.values(report.cpu_seconds)) expect(seconds).toBeGreaterThan(0);
    expect(report.clean_exit).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
    expect(processesOf(folder)).toEqual([]);
    expect(sharedMemory().filter((name) => !memoryBefore.includes(name))).toEqual([]);
  }, 180_000);

  it('shows addresses and the table, and ends within 5 s of Ctrl-C', async () => {
    const { process, folder } = demo();
    await process.output(/Frames flow[\s\S]*RTSP +rtsp:.*\/vtest[\s\S]*gRPC [\s\S]*Page +http:/, FLOWING_WITHIN_MS);
    await process.output(/vtest +playing +768×576 .*person \d+/);
    const before = performance.now();
    process.kill('SIGINT');
    expect(await process.exitCode(), process.stderr).toBe(0);
    // On a machine that does nothing else.
    expect(performance.now() - before).toBeLessThan(30_000);
    expect(readdirSync(folder)).toEqual([]);
    expect(processesOf(folder)).toEqual([]);
  }, 180_000);

  it('takes its services with it when it is killed', async () => {
    const { process, folder } = demo();
    await process.output(/Frames flow/, FLOWING_WITHIN_MS);
    expect(processesOf(folder).length).toBeGreaterThan(3);
    process.kill('SIGKILL');
    await process.exitCode();
    await eventually(
      () => `all processes to be gone: ${processesOf(folder).join('; ')}`,
      () => processesOf(folder).length === 0,
    );
  }, 180_000);

  it.each(['SIGTERM', 'SIGKILL'] as const)('ends with npm when that gets %s', async (signal) => {
    const folder = tempFolder();
    const npm = new TestProcess('npm', ['run', 'demo'], { env: environment(folder) });
    await npm.output(/Frames flow/, FLOWING_WITHIN_MS);
    npm.kill(signal);
    await npm.exitCode();
    await eventually(
      () => `all processes to be gone: ${processesOf(folder).join('; ')}`,
      () => processesOf(folder).length === 0,
    );
    expect(readdirSync(folder)).toEqual([]);
  }, 180_000);

  it('says what is wrong with a source or model, once', async () => {
    const missing = demo('--source', 'gone.mp4').process;
    expect(await missing.exitCode()).toBeGreaterThan(0);
    expect(missing.stderr).toMatch(/^\S*gone\.mp4: there is no such file\n {2}Check the path after --source\.\n$/);
    const model = demo('--model', 'yolov99').process;
    expect(await model.exitCode()).toBeGreaterThan(0);
    expect(model.stderr).toMatch(/^model "yolov99": there is no such manifest .*known: .*ssdlite/);
  });

  it('gives up on a file that is no video, with the reason', async () => {
    const { process, folder } = demo('--source', 'package.json');
    expect(await process.exitCode()).toBeGreaterThan(0);
    expect(process.stderr).toMatch(/package\.json: \S+/);
    expect(readdirSync(folder)).toEqual([]);
  }, 120_000);

  it('keeps trying a camera that does not answer, and says so', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    server.close();
    const { process, folder } = demo('--source', `rtsp://127.0.0.1:${port}/cam`);
    await process.output(/trying again: \S+/, FLOWING_WITHIN_MS);
    process.kill('SIGINT');
    expect(await process.exitCode()).toBe(130);
    expect(readdirSync(folder)).toEqual([]);
    expect(processesOf(folder)).toEqual([]);
  }, 120_000);
});
