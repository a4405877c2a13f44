import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { TestProcess } from '../helpers/process.js';
import { SinkRig, TestProducer, type SinkAddresses, type SinkRigOptions } from '../helpers/sink_rig.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const run = promisify(execFile);
/** A watchdog: a busy machine needs long for ten players. */
const LONG = { timeoutMs: 60_000 };
const RUNNING = /^.*sink-0 running.*$/m;

async function rigWith(options: SinkRigOptions, streams = ['gate']): Promise<SinkRig> {
  const { url } = await natsServer();
  return SinkRig.at(url, streams, options);
}

/** A sink whose streams play noise. */
async function playing(options: SinkRigOptions, streams = ['gate']) {
  const rig = await rigWith({ bitrateKbps: 1000, ...options }, streams);
  const { process: sink, addresses } = await rig.sink();
  const producer = new TestProducer(rig.directory, rig.nats);
  for (const id of streams) producer.play(id, { noise: true });
  await eventually('a first picture', async () => (await ask(addresses, 'DESCRIBE', '/gate')) !== 404, LONG);
  return { sink, addresses };
}

/** A player in a process of its own that writes down size and checksum of every picture. */
class Player {
  readonly process: TestProcess;

  constructor(url: string, transport: 'tcp' | 'udp') {
    const input = ['-rtsp_transport', transport, '-buffer_size', '2000000', '-i', url];
    const args = ['-v', 'error', ...input, '-c', 'copy', '-flush_packets', '1', '-f', 'framecrc', '-'];
    this.process = new TestProcess('ffmpeg', args);
  }

  pictures(): string[] {
    const lines = this.process.stdout.split('\n').slice(0, -1);
    return lines.filter((line) => line.startsWith('0,')).map((line) => line.split(',').slice(4, 6).join());
  }

  /** Waits for so many more pictures. */
  async more(count: number): Promise<void> {
    const wanted = this.pictures().length + count;
    await eventually(
      () => `${count} more pictures; ${this.process.stderr}`,
      () => this.pictures().length >= wanted,
      LONG,
    );
  }
}

/** That all have the same pictures, one after the other, since they had so many. */
function expectSamePictures(players: readonly Player[], since: readonly number[]): void {
  const [all = [], ...others] = players.map((player) => player.pictures());
  others.forEach((pictures, i) => {
    const seen = pictures.slice(since[i + 1]);
    const start = all.indexOf(seen[0] ?? 'none');
    expect(start, `the first picture of player ${i + 1}`).toBeGreaterThanOrEqual(0);
    const end = Math.min(all.length - start, seen.length);
    expect(end).toBeGreaterThan(50);
    expect(seen.slice(0, end)).toEqual(all.slice(start, start + end));
  });
}

function residentMib(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

async function metric(addresses: SinkAddresses, line: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', addresses.page))).text();
  return Number(text.split('\n').find((l) => l.startsWith(line))?.split(' ').at(-1) ?? NaN);
}

function droppedOf(addresses: SinkAddresses, reason: 'slow' | 'silent'): Promise<number> {
  return metric(addresses, `framebus_sink_rtsp_dropped_total{reason="${reason}"`);
}

/** Sends one request by hand; the whole answer. */
async function answer(addresses: SinkAddresses, method: string, path: string, headers: string[] = []): Promise<string> {
  const { hostname, port } = new URL(addresses.rtsp);
  const socket = connect(Number(port), hostname).setEncoding('utf8');
  onTestFinished(() => {
    socket.destroy();
  });
  const lines = [`${method} ${addresses.rtsp}${path} RTSP/1.0`, 'CSeq: 1', 'Accept: application/sdp', ...headers, '', ''];
  socket.write(lines.join('\r\n'));
  const [text] = (await once(socket, 'data')) as [string];
  socket.destroy();
  return text;
}

async function ask(...request: Parameters<typeof answer>): Promise<number> {
  return Number(/^RTSP\/1\.0 (\d+)/.exec(await answer(...request))?.[1]);
}

const basic = (user: string, password: string): string[] => [
  `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
];

/** With a picture's size from ffprobe, a player that is not ours. */
async function widthAt(url: string): Promise<string> {
  const show = ['-show_entries', 'stream=width', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', ['-v', 'error', '-rtsp_transport', 'tcp', ...show, url], { timeout: 60_000 });
  return stdout.trim();
}

test('one of ten players over TCP stops: the others get every picture, and it is dropped', async () => {
  const { sink, addresses } = await playing({});
  const players = Array.from({ length: 10 }, () => new Player(`${addresses.rtsp}/gate`, 'tcp'));
  await Promise.all(players.map((player) => player.more(25)));
  const stopped = players.pop();
  const since = players.map((player) => player.pictures().length);
  const before = residentMib(sink.pid);
  stopped?.process.kill('SIGSTOP');

  await sink.output(/"peer":"127\.0\.0\.1","path":"\/gate","reason":"slow".*RTSP player disconnected/, 60_000);
  expect(await droppedOf(addresses, 'slow')).toBe(1);
  await eventually('nine players', async () => (await metric(addresses, 'framebus_sink_clients{kind="rtsp"')) === 9, LONG);
  await Promise.all(players.map((player) => player.more(25)));
  expectSamePictures(players, since);
  expect(residentMib(sink.pid) - before).toBeLessThan(64);
  expect(await droppedOf(addresses, 'silent')).toBe(0);
});

test('a player over UDP and the only one over TCP stop: nine others over UDP get every picture', async () => {
  const { sink, addresses } = await playing({ rtsp: 'transports: [tcp, udp], session_timeout: 5s' });
  const url = `${addresses.rtsp}/gate`;
  const players = Array.from({ length: 10 }, () => new Player(url, 'udp'));
  const tcp = new Player(url, 'tcp');
  await Promise.all([...players, tcp].map((player) => player.more(25)));
  const udp = players.pop();
  const since = players.map((player) => player.pictures().length);
  const before = residentMib(sink.pid);
  udp?.process.kill('SIGSTOP');
  tcp.process.kill('SIGSTOP');

  await eventually('both are dropped', async () => (await droppedOf(addresses, 'slow')) === 1 && (await droppedOf(addresses, 'silent')) === 1, LONG);
  await sink.output(/"reason":"silent".*RTSP player disconnected/);
  await eventually('nine players', async () => (await metric(addresses, 'framebus_sink_clients{kind="rtsp"')) === 9, LONG);
  await Promise.all(players.map((player) => player.more(25)));
  expectSamePictures(players, since);
  expect(residentMib(sink.pid) - before).toBeLessThan(64);
  // Late ones are welcome after all that.
  await new Player(url, 'udp').more(5);
  await new Player(url, 'tcp').more(5);
});

test('where the only TCP player stops and what it was sent fills all that can wait, UDP players go on', async () => {
  const { sink, addresses } = await playing({ rtsp: 'transports: [tcp, udp]', bitrateKbps: 20_000 });
  const udp = new Player(`${addresses.rtsp}/gate`, 'udp');
  const tcp = new Player(`${addresses.rtsp}/gate`, 'tcp');
  await Promise.all([udp.more(25), tcp.more(25)]);
  const encoded = (): Promise<number> => metric(addresses, 'framebus_frames_total{stream="gate",stage="sink",outcome="out"');
  const before = { encoded: await encoded(), seen: udp.pictures().length };
  tcp.process.kill('SIGSTOP');
  await sink.output(/"reason":"slow".*RTSP player disconnected/, 60_000);
  const seen = udp.pictures().length - before.seen;
  // At this rate some packets may be lost on a busy machine.
  expect(seen).toBeGreaterThan(0.6 * ((await encoded()) - before.encoded));
});

test('users watch their streams alone, by Basic and Digest', async () => {
  const guard = tempFile('guard', 'open sesame\n');
  const joe = tempFile('joe', 'pa:ss"w\u00f6rd');
  const users = `[{name: guard, password_file: ${guard}}, {name: joe, password_file: ${joe}, mounts: [yard]}]`;
  const { sink, addresses } = await playing({ rtsp: `users: ${users}` }, ['gate', 'yard']);
  await eventually('both streams', async () => (await ask(addresses, 'DESCRIBE', '/yard', basic('guard', 'open sesame'))) === 200, LONG);
  const status = (path: string, headers?: string[]): Promise<number> => ask(addresses, 'DESCRIBE', path, headers);

  const refused = await answer(addresses, 'DESCRIBE', '/gate');
  expect(refused).toMatch(/^RTSP\/1\.0 401 /);
  expect(refused).toMatch(/^WWW-Authenticate: Basic realm="framebus"\r$/m);
  const [, nonce] = /^WWW-Authenticate: Digest realm="framebus", nonce="(\w+)"\r$/m.exec(refused) ?? [];
  // Who may not watch learns nothing of what there is.
  expect(await status('/nothing')).toBe(401);
  expect(await status('/gate', basic('guard', 'open'))).toBe(401);
  expect(await status('/gate', basic('nobody', 'open sesame'))).toBe(401);
  expect(await status('/gate', basic('guard', 'open sesame'))).toBe(200);
  expect(await status('/nothing', basic('guard', 'open sesame'))).toBe(404);
  expect(await status('/yard', basic('joe', 'pa:ss"w\u00f6rd'))).toBe(200);
  expect(await status('/gate', basic('joe', 'pa:ss"w\u00f6rd'))).toBe(403);
  expect(await status('/nothing', basic('joe', 'pa:ss"w\u00f6rd'))).toBe(403);
  const setup = ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1'];
  expect(await ask(addresses, 'SETUP', '/gate/stream=0', setup)).toBe(401);
  expect(await ask(addresses, 'SETUP', '/gate/stream=0', [...setup, ...basic('joe', 'pa:ss"w\u00f6rd')])).toBe(403);

  const digest = (password: string): string[] => {
    const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
    const uri = `${addresses.rtsp}/gate`;
    const response = md5(`${md5(`guard:framebus:${password}`)}:${nonce}:${md5(`DESCRIBE:${uri}`)}`);
    return [`Authorization: Digest username="guard", realm="framebus", nonce="${nonce}", uri="${uri}", response="${response}"`];
  };
  expect(await status('/gate', digest('open sesame'))).toBe(200);
  expect(await status('/gate', digest('open'))).toBe(401);
  expect(await widthAt(addresses.rtsp.replace('//', '//guard:open%20sesame@') + '/gate')).toBe('320');
  await expect(widthAt(addresses.rtsp.replace('//', '//guard:wrong@') + '/gate')).rejects.toThrow('401');

  await sink.output(/RTSP player denied/);
  expect(await metric(addresses, 'framebus_sink_rtsp_denied_total')).toBeGreaterThanOrEqual(6);
  expect(sink.stdout + sink.stderr).not.toMatch(/sesame|pa:ss/);
});

test('TLS: rtsps:// alone, for players of two kinds, whoever else is silent on the port', async () => {
  const folder = tempFolder();
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-nodes'];
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', ...subject, '-keyout', key, '-out', cert]);
  const guard = tempFile('guard', 'open sesame');
  const tls = `tls: {cert_file: ${cert}, key_file: ${key}}, users: [{name: guard, password_file: ${guard}}]`;
  const rig = await rigWith({ rtsp: tls });
  const { addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  expect(addresses.rtsp).toMatch(/^rtsps:\/\/127\.0\.0\.1:\d+$/);
  const { hostname, port } = new URL(addresses.rtsp);
  const silent = connect(Number(port), hostname);
  await once(silent, 'connect');
  onTestFinished(() => {
    silent.destroy();
  });
  const url = addresses.rtsp.replace('//', '//guard:open%20sesame@') + '/gate';
  await eventually('ffprobe plays', async () => (await widthAt(url)) === '320', LONG);
  await expect(widthAt(`${addresses.rtsp}/gate`)).rejects.toThrow('401');
  await expect(widthAt(url.replace('rtsps:', 'rtsp:'))).rejects.toThrow();
  const source = ['rtspsrc', `location=${url}`, 'protocols=tcp', 'tls-validation-flags=0'];
  await run('gst-launch-1.0', ['-q', ...source, '!', 'rtph264depay', '!', 'identity', 'eos-after=10', '!', 'fakesink'], { timeout: 60_000 });
});

test('a file that is missing or wrong ends the sink, with its name', async () => {
  const empty = tempFile('joe', '\n');
  const rig = await rigWith({ rtsp: `users: [{name: joe, password_file: ${empty}}]` });
  const sink = rig.run();
  expect(await sink.exitCode()).toBe(78);
  expect(sink.stderr + sink.stdout).toContain(`password_file of joe: ${empty} is empty`);
  expect(sink.stdout).not.toMatch(RUNNING);
});

test('parameter sets are in band, before every keyframe', async () => {
  const { addresses } = await playing({});
  const args = ['-v', 'error', '-rtsp_transport', 'tcp', '-i', `${addresses.rtsp}/gate`];
  const copy = ['-c', 'copy', '-frames:v', '60', '-f', 'h264', '-'];
  const { stdout } = await run('ffmpeg', [...args, ...copy], { encoding: 'buffer', timeout: 60_000, maxBuffer: 2 ** 26 });
  const types = [...stdout.toString('latin1').matchAll(/\0\0\x01([^\0])/g)].map(([, byte = '']) => byte.charCodeAt(0) & 31);
  // Sequence and picture parameters, and what else stands before the first slice of a picture.
  const pictures = types.join(' ').split(/(?<=\b[15]\b)/);
  const keyframes = pictures.filter((picture) => /\b5$/.test(picture));
  expect(keyframes.length).toBeGreaterThanOrEqual(2);
  for (const keyframe of keyframes) expect(keyframe).toMatch(/\b7 8\b/);
});
