import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { browse, CHROMIUM, expectMovement, textOf } from '../helpers/browsed_page.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';

test.skipIf(!existsSync(CHROMIUM))('a tiled picture plays on the page before its streams, and leads to them', async () => {
  const { url } = await natsServer();
  const rig = await SinkRig.at(url, ['gate', 'yard'], { tiles: '{name: wall, width: 320, height: 120}' });
  const { addresses } = await rig.sink();
  const producer = new TestProducer(rig.directory, rig.nats);
  producer.play('gate');
  producer.play('yard');
  const { page, complaints } = await browse(addresses.page);
  await expectMovement(page, 'wall');
  const names = () => page.locator('.card:visible h2').allInnerTexts();
  await eventually('all cards', async () => (await names()).join(' ') === 'wall gate yard');
  expect(await page.evaluate<number[]>(`(({videoWidth: w, videoHeight: h}) => [w, h])(document.querySelector('[data-stream="wall"] video'))`)).toEqual([320, 120]);

  await page.locator('[data-stream="wall"] .open').click();
  await eventually('it alone', async () => (await names()).join(' ') === 'wall');
  expect(await textOf(page, '.addresses')).toContain(`${addresses.rtsp}/wall`);
  const saved = await page.getByText('Save a snapshot').getAttribute('href');
  expect((await fetch(new URL(saved!, addresses.page))).headers.get('content-type')).toBe('image/jpeg');
  await page.locator('[data-stream="wall"] .members').getByText('yard').click();
  await eventually('its stream alone', async () => (await names()).join(' ') === 'yard');
  await expectMovement(page, 'yard');
  expect(complaints.filter((text) => !text.includes('503'))).toEqual([]);
});
