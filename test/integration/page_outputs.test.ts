import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { browse, CHROMIUM, expectMovement, textOf } from '../helpers/browsed_page.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';

test.skipIf(!existsSync(CHROMIUM))('a further output is chosen on the page, and everything there is of it', async () => {
  const { url } = await natsServer();
  const rig = await SinkRig.at(url, ['gate'], { outputs: ['{name: small, width: 160}'] });
  const { addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  const { page, complaints } = await browse(addresses.page);
  await expectMovement(page, 'gate');
  const width = () => page.evaluate<number>(`document.querySelector('video').videoWidth`);
  expect(await width()).toBe(320);
  await page.getByRole('radio', { name: 'small' }).check();
  await eventually('its size', async () => (await width()) === 160);
  await expectMovement(page, 'gate');
  expect(await textOf(page, '.addresses')).toContain(`${addresses.rtsp}/gate/small`);
  const saved = await page.getByText('Save a snapshot').getAttribute('href');
  expect((await fetch(new URL(saved!, addresses.page))).status).toBe(200);
  const clean = await page.getByText('Save one without drawing').getAttribute('href');
  expect(clean).toContain('clean=1');
  expect((await fetch(new URL(clean!, addresses.page))).headers.get('content-type')).toBe('image/jpeg');

  await page.getByRole('radio', { name: 'annotated' }).check();
  await eventually('the size of the annotated one', async () => (await width()) === 320);
  await expectMovement(page, 'gate');
  expect(complaints.filter((text) => !text.includes('503'))).toEqual([]);
});
