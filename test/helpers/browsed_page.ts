import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { eventually } from './eventually.js';
import { ROOT } from './process.js';

export const CHROMIUM = '/usr/bin/chromium';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'];

export interface Browsed {
  page: Page;
  /** What the browser complained about: scripts, blocked resources. */
  complaints: string[];
}

export interface BrowseOptions {
  width?: number;
  height?: number;
  /** false: a browser that cannot play, such as an iPhone's. */
  mse?: boolean;
}

/** Opens sink's page in a browser that ends with the test. */
export async function browse(url: string, options: BrowseOptions = {}): Promise<Browsed> {
  const { width = 1280, height = 900, mse = true } = options;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  onTestFinished(() => browser.close());
  const context = await browser.newContext({ viewport: { width, height } });
  const page = await context.newPage();
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

/** Waits until the card of a stream shows pictures, and that they move. */
export async function expectMovement(page: Page, stream: string): Promise<void> {
  const first = await eventually('a picture', () => pixels(page, stream));
  expect(new Set(first).size, 'more than one colour').toBeGreaterThan(4);
  await eventually('movement', async () => changed(first, (await pixels(page, stream)) ?? first) > 10);
}

export const textOf = (page: Page, selector: string): Promise<string> =>
  page.locator(selector).first().innerText();
