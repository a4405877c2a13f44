import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { ROOT } from '../helpers/process.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'];

interface Browsed {
  page: Page;
  /** What the browser complained about: scripts, blocked resources. */
  complaints: string[];
}

interface BrowseOptions {
  width?: number;
  height?: number;
  /** false: a browser that cannot play, such as an iPhone's. */
  mse?: boolean;
}

async function browse(url: string, options: BrowseOptions = {}): Promise<Browsed> {
  const { width = 1280, height = 900, mse = true } = options;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  onTestFinished(() => browser.close());
  const page = await browser.newPage({ viewport: { width, height } });
  await page.addInitScript({ path: join(ROOT, 'test/fixtures/page_probe.mjs') });
  if (!mse) await page.addInitScript('probe.forgetMse()');
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints };
}

/** The picture that a card shows now, 64 × 48, one number a pixel. */
const pixels = (page: Page, stream: string): Promise<number[] | null> =>
  page.evaluate<number[] | null>(`probe.pixels('${stream}')`);

/** Pixels that differ clearly between two pictures. */
const changed = (a: number[], b: number[]): number =>
  a.filter((value, i) => Math.abs(value - (b[i] ?? 0)) > 40).length;

async function expectMovement(page: Page, stream: string): Promise<void> {
  const first = await eventually('a picture', () => pixels(page, stream));
  expect(new Set(first).size, 'more than one colour').toBeGreaterThan(4);
  await eventually('movement', async () => changed(first, (await pixels(page, stream)) ?? first) > 10);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const textOf = (page: Page, selector: string): Promise<string> =>
  page.locator(selector).first().innerText();

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
    expect(await textOf(page, `${card} [data-figure="p50"]`)).toMatch(/^\d+ ms$/);
    expect(await textOf(page, `${card} .size`)).toBe('320 × 240');
    await eventually('detections', async () => /person\s*1/.test(await textOf(page, `${card} .now`)));
    await eventually('the sink itself', async () => /sink/.test(await textOf(page, '#services')));
    expect(await page.evaluate<number>(`probe.behind('gate')`)).toBeLessThan(1);
    expect(complaints.filter((text) => !text.includes('503'))).toEqual([]);

    await page.locator(`${card} .open`).click();
    await eventually('one stream alone', async () => (await page.locator('.card:visible').count()) === 1);
    expect(await textOf(page, `${card} .links`)).toContain(`${addresses.rtsp}/gate`);
    await eventually('a log', async () => (await page.locator(`${card} .log li`).count()) > 3);
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
