import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { describe, expect, test } from 'vitest';
import { browse, CHROMIUM, expectMovement, textOf } from '../helpers/browsed_page.js';
import { eventually } from '../helpers/eventually.js';
import { ROOT } from '../helpers/process.js';
import { tellState } from '../helpers/page_status.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

describe.skipIf(!existsSync(CHROMIUM))('page in Chromium (skipped without the package chromium)', () => {
  test('shows moving pictures, numbers and detections', async () => {
    const rig = await SinkRig.start(['gate', 'yard']);
    const { addresses } = await rig.sink();
    const producer = new TestProducer(rig.directory, rig.nats);
      producer.play('gate');
    producer.play('yard');
    const { page, complaints } = await browse(addresses.page);
    await expectMovement(page, 'gate');
    await expectMovement(page, 'yard');
    const card = '[data-stream="gate"]';
    await eventually('a rate', async () => Number(await textOf(page, `${card} [data-figure="fpsOut"]`)) > 15);
    expect(await textOf(page, `${card} [data-figure="p50"]`)).toMatch(/^[\d.]+ ms$/);
    expect(await textOf(page, `${card} .size`)).toBe('320 × 240');
    await eventually('detections', async () => /person\s*1/.test(await textOf(page, `${card} .now`)));
    await eventually('the sink itself', async () => /sink/.test(await textOf(page, '#services')));
    expect(await page.evaluate<number>(`probe.behind('gate')`)).toBeLessThan(1);
    expect(complaints.filter((text) => !text.includes('503'))).toEqual([]);

    await page.locator(`${card} .open`).click();
    await eventually('one stream alone', async () => (await page.locator('.card:visible').count()) === 1);
    expect(await textOf(page, `${card} .addresses`)).toContain(`${addresses.rtsp}/gate`);
    await eventually('a log', async () => (await page.locator(`${card} .log > li`).count()) > 3);
    await eventually('a track', async () => /person\s*#\d+\s*87 %/.test(await textOf(page, `${card} .log .objects`)));
    await eventually('stages', async () => /decoder to record\s*[\d.]+ ms/.test(await textOf(page, `${card} .stages`)));
    expect(await textOf(page, `${card} .addresses`)).toMatch(/grpcurl .*'{"stream_ids":\["gate"\]}'/);
    await expectMovement(page, 'gate');
    const [saved] = await Promise.all([page.waitForEvent('download'), page.getByText('Save a snapshot').click()]);
    expect(saved.suggestedFilename()).toMatch(/^gate-[\dT-]+Z\.jpg$/);

    await page.keyboard.press('ArrowRight');
    await page.locator('[data-stream="yard"] .detail').waitFor();
    await page.keyboard.press('Escape');
    await eventually('all streams', async () => (await page.locator('.card:visible').count()) === 2);
    expect(await page.evaluate<string>('document.activeElement.getAttribute("aria-label")')).toBe('Show yard alone');
  });

  test('shows a picture that is less than a second old', async () => {
    const rig = await SinkRig.start();
    const { addresses } = await rig.sink();
    new TestProducer(rig.directory, rig.nats).play('gate', { clock: true });
    const { page } = await browse(addresses.page);
    const age = () => page.evaluate<number | null>(`probe.clockMs('gate')`);
    await eventually('a clock', async () => (await age()) !== null);
    const ages: number[] = [];
    await eventually(
      () => `four seconds of pictures that are younger than one; ages ${ages.slice(-40).join(', ')} ms`,
      async () => {
        ages.push((await age()) ?? Infinity);
        const latest = ages.slice(-40);
        return latest.length === 40 && latest.every((ms) => ms >= 0 && ms < 1000);
      },
      { everyMs: 100, timeoutMs: 60_000 },
    );
    const sorted = ages.slice(-40).sort((a, b) => a - b);
    console.info(`the picture is ${sorted[20]} ms behind, at most ${sorted[39]} ms`);
  });

  test('shows thirty streams, most of them live, and leaves connections for another window', async () => {
    const streams = Array.from({ length: 30 }, (_, i) => `cam-${String(i + 1).padStart(2, '0')}`);
    const rig = await SinkRig.start(streams);
    const { addresses } = await rig.sink();
    const producer = new TestProducer(rig.directory, rig.nats);
    for (const stream of streams) producer.play(stream, { width: 160, height: 120, fps: 2 });
    const { page, complaints } = await browse(addresses.page, { width: 1440, height: 1800 });
    let last = { shown: [] as string[], playing: [] as string[] };
    await eventually(
      () => `twelve that play, and stills of others: ${JSON.stringify(last)}`,
      async () => {
        last = await page.evaluate<typeof last>('probe.shown()');
        return last.playing.length === 12 && last.shown.length > 12;
      },
      { timeoutMs: 60_000 },
    );
    await expectMovement(page, 'cam-12');

    const second = await page.context().newPage();
    await second.addInitScript({ path: join(ROOT, 'test/fixtures/page_probe.mjs') });
    await second.goto(`${addresses.page}#cam-30`);
    await expectMovement(second, 'cam-30');
    expect(await second.locator('.card:visible').count()).toBe(1);
    await second.close();

    await page.locator('#filter').fill('cam-3');
    await eventually('one is found', async () => (await page.locator('.card:visible').count()) === 1);
    await expectMovement(page, 'cam-30');
    expect(complaints.filter((text) => !text.includes('503'))).toEqual([]);
  });

  test('says why a stream has no new pictures, and goes on with it', async () => {
    const rig = await SinkRig.start();
    const { addresses } = await rig.sink();
    const producer = new TestProducer(rig.directory, rig.nats);
    const stop = producer.play('gate');
    const state = tellState(rig.nats, 'gate');
    const { page } = await browse(addresses.page, { width: 360, height: 740 });
    await expectMovement(page, 'gate');
    const card = '[data-stream="gate"]';
    state.set(StreamState.STREAM_STATE_RECONNECTING, 'rtsp://camera: no route to host');
    await page.locator(`${card}[data-state="RECONNECTING"]`).waitFor();
    expect(await textOf(page, `${card} .reason`)).toBe('rtsp://camera: no route to host');
    expect(await textOf(page, `${card} .wait`)).toBe('No connection, trying again');
    await eventually('the last picture', () => page.locator(`${card} .still`).isVisible());
    expect(await page.evaluate<number>('probe.overflow()')).toBe(0);
    state.set(StreamState.STREAM_STATE_PLAYING, '', { overloaded: 12n });
    await page.locator(`${card}[data-state="PLAYING"]`).waitFor();
    await eventually('video again', () => page.locator(`${card} video`).isVisible());
    await expectMovement(page, 'gate');
    await eventually('a reason', async () => /12 inference busy/.test(await textOf(page, `${card} .reasons`)));
    expect(await textOf(page, `${card} .why`)).toContain('in inference already');
    expect(await page.evaluate<number>('probe.overflow()')).toBe(0);

    stop();
    await page.locator(`${card}[data-state="STALLED"]`).waitFor();
    expect(await textOf(page, `${card} .badge`)).toBe('no new pictures');
    producer.play('gate');
    await page.locator(`${card}[data-state="PLAYING"]`).waitFor();
    await expectMovement(page, 'gate');
  });

  test('comes back by itself when the sink has been killed', async () => {
    const rig = await SinkRig.start(['gate'], { http: await freePort() });
    const first = await rig.sink();
    new TestProducer(rig.directory, rig.nats).play('gate');
    const { page } = await browse(first.addresses.page);
    await expectMovement(page, 'gate');
    first.process.kill('SIGKILL');
    await first.process.exitCode();
    await page.getByText('The sink does not answer').waitFor();
    await rig.sink();
    await page.locator('#notice').waitFor({ state: 'hidden' });
    await expectMovement(page, 'gate');
  });

  test('falls back to stills without MSE, and fits a phone', async () => {
    const rig = await SinkRig.start();
    const { addresses } = await rig.sink();
    new TestProducer(rig.directory, rig.nats).play('gate');
    const { page } = await browse(addresses.page, { width: 390, height: 844, mse: false });
    await expectMovement(page, 'gate');
    expect(await page.locator('.still').isVisible()).toBe(true);
    expect(await page.evaluate<number>('probe.overflow()')).toBe(0);
  });

  test('may load nothing but its own', async () => {
    const rig = await SinkRig.start();
    const { addresses } = await rig.sink();
    const answer = await fetch(addresses.page);
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    const html = await answer.text();
    expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    expect(html).not.toContain('style="');
  });
});
