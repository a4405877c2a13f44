import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Document } from 'yaml';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const FREE = { port: 0 };

/** A configuration with one looping stream and free ports; `change` may break it. */
function configuration(bus: string, change: Record<string, unknown> = {}): string {
  return tempFile(
    'framebus.yaml',
    new Document({
      log: { format: 'text' },
      bus: { directory: bus },
      ingest: { http: FREE, grpc: FREE },
      infer: { http: FREE, grpc: FREE },
      sink: { http: FREE, grpc: FREE, rtsp: FREE },
      streams: { gate: { source: SAMPLE_CLIP, loop: true } },
      ...change,
    }).toString(),
  );
}

function up(change: Record<string, unknown> = {}): { process: TestProcess; bus: string } {
  const bus = join(tempFolder(), 'bus');
  const file = configuration(bus, change);
  return { process: runNode(['cli/framebus.mjs', 'up', '--config', file, '--nats', 'embedded']), bus };
}

/** Processes below one, at any depth, by their command lines. */
function descendants(pid: number): Map<number, string> {
  const found = new Map<number, string>();
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  for (const child of children.map(Number)) {
    try {
      found.set(child, readFileSync(`/proc/${child}/cmdline`, 'utf8').replaceAll('\0', ' '));
      for (const [below, command] of descendants(child)) found.set(below, command);
    } catch {
      // It has just ended.
    }
  }
  return found;
}

/** Id of the one process below whose command line holds a text. */
function child(pid: number, text: string): number {
  for (const [id, command] of descendants(pid)) if (command.includes(text)) return id;
  // Never 0: a signal to it would be one to the test's own process group.
  throw new Error(`no "${text}" below process ${pid}`);
}

/** Whether a process is there, and not just waiting to be collected by its parent. */
function isAlive(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`);
    return true;
  } catch {
    return false;
  }
}

const leftovers = (pid: number): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith(`framebus-nats-${pid}-`));

describe('framebus up', () => {
  test('runs everything, starts a killed service again, and ends with Ctrl-C within five seconds', async () => {
    const { process: it, bus } = up();
    const [, grpc] = await it.output(/gate is live at rtsp:\/\/127\.0\.0\.1:\d+\/gate .*"grpc":"([^"]+)"/, 60_000);
    await it.output(/all services are running/);
    expect(it.stderr).toMatch(/^\[[\d:.]+\] INFO: ingest: ingest-0 running /m);
    expect(existsSync(join(bus, 'ingest-0.sock'))).toBe(true);
    expect(leftovers(it.pid)).toHaveLength(1);

    const all = descendants(it.pid);
    // A running service has put its title in the place of its command line.
    const infer = child(it.pid, 'framebus infer');
    process.kill(infer, 'SIGKILL');
    await it.output(/infer has ended \(SIGKILL\); starting it again in 1 s/);
    await eventually('a new worker', () => child(it.pid, 'framebus infer') !== infer);
    // What is seen after the restart is inferred by the new worker.
    const watch = runNode(['cli/framebus.mjs', 'watch', 'gate', '--class', 'person', '-n', '5', '-a', grpc ?? '']);
    expect(await watch.exitCode()).toBe(0);
    expect(watch.stdout).toContain('person');

    const startedAtMs = performance.now();
    it.kill('SIGINT');
    expect(await it.exitCode()).toBe(0);
    // People are promised 5 s, on a machine that does nothing else.
    expect(performance.now() - startedAtMs).toBeLessThan(30_000);
    await eventually('all processes are gone', () => [...all.keys()].every((pid) => !isAlive(pid)));
    expect(leftovers(it.pid)).toEqual([]);
    expect(readdirSync(bus)).toEqual([]);
  });

  test('killed on the spot it leaves no process behind', async () => {
    const { process: it } = up();
    await it.output(/all services are running/, 60_000);
    const all = descendants(it.pid);
    expect(all.size).toBeGreaterThanOrEqual(4);
    it.kill('SIGKILL');
    await it.exitCode();
    await eventually('all processes are gone', () => [...all.keys()].every((pid) => !isAlive(pid)));
  });

  test('its NATS server killed: started again, and the stream goes on', async () => {
    const { process: it } = up();
    const [, grpc] = await it.output(/gate is live at .*"grpc":"([^"]+)"/, 60_000);
    process.kill(child(it.pid, 'nats-server'), 'SIGKILL');
    await it.output(/nats-server has ended; starting it again/);
    await it.output(/connected to NATS again/);
    const watch = runNode(['cli/framebus.mjs', 'watch', 'gate', '-n', '10', '-a', grpc ?? '']);
    expect(await watch.exitCode()).toBe(0);
    it.kill('SIGTERM');
    expect(await it.exitCode()).toBe(0);
  });

  test('a service that can never start ends the others with its exit code', async () => {
    const { process: it } = up({ defaults: { model: 'no-such-model' } });
    expect(await it.exitCode()).toBe(66);
    expect(it.stderr).toContain('no-such-model');
    expect(it.stderr).toContain('infer: ended with exit code 66 and would again');
    expect(leftovers(it.pid)).toEqual([]);
  });

  test('a wrong configuration is told once, before anything starts', async () => {
    const { process: it } = up({ snik: {} });
    expect(await it.exitCode()).toBe(78);
    expect(it.stderr.match(/did you mean "sink"/g)).toHaveLength(1);
  });

  test('one service alone, in this process', async () => {
    const { process: it } = up();
    const [, url] = await it.output(/nats-server of our own at (nats:\S+)/);
    await it.output(/all services are running/, 60_000);
    const file = configuration(join(tempFolder(), 'other'));
    const second = runNode(['cli/framebus.mjs', 'infer', '-c', file, '--name', 'infer-1'], { env: { NATS_URL: url } });
    await second.output(/infer-1 running/, 60_000);
    second.kill('SIGINT');
    expect(await second.exitCode()).toBe(0);
    it.kill('SIGTERM');
    expect(await it.exitCode()).toBe(0);
  });
});
