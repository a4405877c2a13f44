import { describe, expect, test } from 'vitest';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { ServiceState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { StatusBoard } from '../../lib/status.js';
import { eventually } from '../helpers/eventually.js';
import { natsClient, natsServer } from '../helpers/nats.js';
import { runNode, type RunOptions, type TestProcess } from '../helpers/process.js';
import { tempFile } from '../helpers/temp.js';

const CONFIG = `
log: {level: info, format: json}
sink: {http: {port: 0}}
streams: {gate: {source: /clip.mp4}}
`;

/** A service of the real runService with a start function that does what a test asks for. */
function runProbe(behaviour: string, env: Record<string, string>, options: RunOptions = {}, config = CONFIG): TestProcess {
  return runNode(['test/fixtures/probe_service.mjs', behaviour, '--config', tempFile('framebus.yaml', config)], {
    ...options,
    env,
  });
}

/** All statuses that a service publishes. */
async function statuses(url: string): Promise<ServiceStatus[]> {
  const board = new StatusBoard(await natsClient(url));
  const heard: ServiceStatus[] = [];
  board.onStatus((status) => heard.push(status));
  return heard;
}

async function httpAddress(probe: TestProcess): Promise<string> {
  const [, address] = await probe.output(/"http":"(http:[^"]+)"/);
  return address ?? '';
}

describe('life of a service', () => {
  test('starts, is ready, counts, drains on SIGTERM and says its last numbers', async () => {
    const { url } = await natsServer();
    const heard = await statuses(url);
    const probe = runProbe('count', { NATS_URL: url });
    const address = await httpAddress(probe);
    expect(await (await fetch(`${address}/healthz`)).json()).toEqual({ status: 'ok', state: 'running' });
    expect((await fetch(`${address}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${address}/hello/gate`)).json()).toEqual({ stream: 'gate' });
    const metrics = await (await fetch(`${address}/metrics`)).text();
    expect(metrics).toMatch(/framebus_frames_total\{stream="gate",stage="sink",outcome="in",service="sink",instance="sink-0"\} [1-9]/);
    probe.kill('SIGTERM');
    expect(await probe.exitCode()).toBe(0);
    await eventually('the last status', () => heard.at(-1)?.state === ServiceState.SERVICE_STATE_STOPPED);
    const last = heard.at(-1);
    // 1000 is added by the service's close(): the numbers of the drain are not lost.
    expect(last?.streams[0]?.framesOut).toBeGreaterThanOrEqual(1000n);
    expect(last?.addresses['http']).toBe(address);
    expect(heard.map(({ state }) => state)).toContain(ServiceState.SERVICE_STATE_DRAINING);
  });

  test('Ctrl-C drains; the copy of it that npm hands on does not force', async () => {
    const { url } = await natsServer();
    const probe = runProbe('slow-close', { NATS_URL: url });
    await httpAddress(probe);
    probe.kill('SIGINT');
    probe.kill('SIGINT');
    expect(await probe.exitCode()).toBe(0);
    expect(probe.stderr).toContain('closed after 700 ms');
  });

  test('a second Ctrl-C forces the end', async () => {
    const { url } = await natsServer();
    const probe = runProbe('never-close', { NATS_URL: url });
    await httpAddress(probe);
    probe.kill('SIGINT');
    await probe.output(/draining/);
    await new Promise((resolve) => setTimeout(resolve, 400));
    probe.kill('SIGINT');
    expect(await probe.exitCode()).toBe(130);
  });

  test('a drain that hangs is cut after its deadline, and says so', async () => {
    const { url } = await natsServer();
    const probe = runProbe('never-close', { NATS_URL: url });
    await httpAddress(probe);
    probe.kill('SIGTERM');
    expect(await probe.exitCode()).toBe(1);
    expect(probe.stderr).toContain('sink: draining: not done within 4s');
  });

  test('ends with its parent, however the parent dies', async () => {
    const { url } = await natsServer();
    const file = tempFile('framebus.yaml', CONFIG);
    const parent = runNode(['test/fixtures/probe_parent.mjs', file], { env: { NATS_URL: url } });
    const [, pid] = await parent.output(/child (\d+) is ready/);
    parent.kill('SIGKILL');
    await eventually('the service is gone', () => !isAlive(Number(pid)));
  });

  test('an error outside of any call is one message, a drain and an exit code', async () => {
    const { url } = await natsServer();
    const probe = runProbe('fatal', { NATS_URL: url });
    expect(await probe.exitCode()).toBe(77);
    expect(probe.stderr).toContain('BUS_DIRECTORY');
    expect(probe.stderr).toContain('/nowhere: permission denied');
    expect(probe.stderr).toContain('closed');
    const crash = runProbe('throw', { NATS_URL: url });
    expect(await crash.exitCode()).toBe(70);
    expect(crash.stderr).toContain('out of the blue');
  });

  test('a start that fails ends the process with the error of the start', async () => {
    const { url } = await natsServer();
    const probe = runProbe('fail-start', { NATS_URL: url });
    expect(await probe.exitCode()).toBe(66);
    expect(probe.stderr).toContain('yolo: no such manifest');
  });
});

describe('what may be wrong at start', () => {
  test('NATS is down: tries again, answers /readyz with the reason, and ends on SIGTERM', async () => {
    const server = await natsServer();
    await server.close();
    const config = CONFIG.replace('port: 0', 'port: 18099');
    const probe = runProbe('count', { NATS_URL: server.url }, {}, config);
    await probe.output(/is not reachable \(connection refused\); trying again/);
    const answer = await fetch('http://127.0.0.1:18099/readyz');
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ reason: 'not connected to NATS yet' });
    probe.kill('SIGTERM');
    expect(await probe.exitCode()).toBe(0);
  });

  test('NATS restarts: not ready meanwhile, then ready again', async () => {
    const first = await natsServer();
    const probe = runProbe('count', { NATS_URL: first.url });
    const address = await httpAddress(probe);
    await first.close();
    await eventually('not ready', async () => (await fetch(`${address}/readyz`)).status === 503);
    await natsServer({ port: first.port });
    await eventually('ready', async () => (await fetch(`${address}/readyz`)).status === 200);
  });

  test('a port that is in use names key and port', async () => {
    const { url } = await natsServer();
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const probe = runProbe('count', { NATS_URL: url }, {}, CONFIG.replace('port: 0', `port: ${port}`));
    expect(await probe.exitCode()).toBe(69);
    expect(probe.stderr).toContain(`sink.http.port: 127.0.0.1:${port} is in use by another program`);
    expect(probe.stderr).toContain('set sink.http.port to another port');
    other.close();
  });

  test('a wrong configuration and a wrong option end it before anything is opened', async () => {
    const bad = runProbe('count', {}, {}, 'streams: {gate: {sorce: /x}}');
    expect(await bad.exitCode()).toBe(78);
    expect(bad.stderr).toContain('unknown key; did you mean "source"?');
    const missing = runNode(['test/fixtures/probe_service.mjs', 'count', '--config', '/no/such.yaml']);
    expect(await missing.exitCode()).toBe(66);
    const usage = runNode(['test/fixtures/probe_service.mjs', 'count', '--confg', 'x']);
    expect(await usage.exitCode()).toBe(64);
    const embedded = runProbe('count', { NATS_URL: 'embedded' });
    expect(await embedded.exitCode()).toBe(78);
    expect(embedded.stderr).toContain('works only under');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
