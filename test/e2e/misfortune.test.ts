import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { NatsServer } from '../../cli/nats_server.js';
import { EXIT } from '../../lib/errors.js';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode } from '../helpers/process.js';
import { tempFile } from '../helpers/temp.js';

const gate = { source: SAMPLE_CLIP, loop: true };

describe('what a person is told', () => {
  it('of a wrong key: file, line, and the key that was meant', async () => {
    const file = tempFile('framebus.yaml', 'streams:\n  gate:\n    sorce: /a.mp4\n');
    const process = runNode(['dist/services/ingest/main.js', '--config', file]);
    expect(await process.exitCode()).toBe(EXIT.config);
    expect(process.stderr).toMatch(/framebus\.yaml:3: streams\.gate\.sorce: .*source/);
  });

  it('of a model that does not exist: its name and the known ones', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: { ...gate, model: 'nosuch' } } });
    const infer = pipeline.start('infer');
    expect(await infer.exitCode()).toBe(EXIT.noInput);
    expect(infer.stderr).toContain('nosuch');
    expect(infer.stderr).toContain('ssdlite-mobilenet-v2');
  });

  it('of a port in use: key and port', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    onTestFinished(() => void blocker.close());
    const { port } = blocker.address() as { port: number };
    const rtsp = await Pipeline.create({
      streams: { gate },
      sink: { rtsp: { host: '127.0.0.1', port } },
    });
    const sink = rtsp.start('sink');
    expect(await sink.exitCode()).toBe(EXIT.unavailable);
    expect(sink.stderr).toContain(String(port));
    expect(sink.stderr).toContain('sink.rtsp.port');
  });

  it('of a bus folder that is not a folder: its path', async () => {
    const pipeline = await Pipeline.create({ streams: { gate } });
    mkdirSync(dirname(pipeline.busDirectory), { recursive: true });
    writeFileSync(pipeline.busDirectory, '');
    const ingest = pipeline.start('ingest');
    expect(await ingest.exitCode()).toBe(EXIT.permission);
    expect(ingest.stderr).toContain(pipeline.busDirectory);
  });

  it('of a file that is not there: its path, and the service ends', async () => {
    const missing = join(dirname(SAMPLE_CLIP), 'no-such-clip.mp4');
    const pipeline = await Pipeline.create({ streams: { gate: { source: missing } } });
    const ingest = pipeline.start('ingest');
    expect(await ingest.exitCode()).not.toBe(0);
    expect(ingest.stderr).toContain('no-such-clip.mp4');
  }, 30_000);

  it('of a camera that does not answer: it is tried again, and the other streams go on', async () => {
    const pipeline = await Pipeline.create({
      streams: { gate: { ...gate, model: null }, far: { source: 'rtsp://user:secret@127.0.0.1:9/cam' } },
      defaults: { reconnect: { initial: '100ms', max: '500ms' } },
    });
    await pipeline.run('sink');
    const ingest = await pipeline.run('ingest');
    await eventually(
      () => `far is reconnecting\n${pipeline.output()}`,
      () => pipeline.stream('ingest', 'far')?.state === StreamState.STREAM_STATE_RECONNECTING,
    );
    await eventually('gate plays', () => (pipeline.stream('sink', 'gate')?.framesOut ?? 0n) > 10n);
    expect(pipeline.stream('ingest', 'far')?.reason).toContain('127.0.0.1:9');
    expect(ingest.stderr).not.toContain('secret');
    ingest.kill('SIGTERM');
    expect(await ingest.exitCode()).toBe(0);
  }, 60_000);

  it('of NATS being down at start: it is waited for', async () => {
    const pipeline = await Pipeline.create({ streams: { gate } });
    const { port } = pipeline.nats;
    await pipeline.nats.close();
    const ingest = pipeline.start('ingest');
    await ingest.output(/not reachable/);
    const again = await NatsServer.start({ port });
    onTestFinished(() => again.close());
    await ingest.output(/connected to NATS/);
  }, 60_000);
});
