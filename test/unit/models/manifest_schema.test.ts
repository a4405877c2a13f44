import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelNames, MODELS_DIRECTORY } from '../../../models/find.js';
import { knownManifestKeys, manifestJsonSchema } from '../../../models/manifest_schema.js';

const FILE = path.join(MODELS_DIRECTORY, 'manifest.schema.json');

describe('models/manifest.schema.json', () => {
  it('is what the schema makes; UPDATE_SCHEMA=1 writes it anew', () => {
    const text = `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`;
    if (process.env['UPDATE_SCHEMA'] === '1') writeFileSync(FILE, text);
    expect(readFileSync(FILE, 'utf8')).toBe(text);
  });

  it('is named by every manifest that framebus brings', () => {
    for (const name of modelNames()) {
      const [first] = readFileSync(path.join(MODELS_DIRECTORY, `${name}.yaml`), 'utf8').split('\n');
      expect(first).toBe('# yaml-language-server: $schema=manifest.schema.json');
    }
  });

  it('refuses unknown keys, says what keys mean, and knows every decoder', () => {
    const { additionalProperties, required, properties } = manifestJsonSchema() as {
      additionalProperties: boolean;
      required: string[];
      properties: Record<string, { oneOf?: { description: string; required?: string[]; properties?: { kind: { const: string } } }[] }>;
    };
    expect(additionalProperties).toBe(false);
    expect(required).toEqual(['name', 'licence', 'task', 'source', 'input', 'decoder', 'batch']);
    const decoders = properties['decoder']?.oneOf ?? [];
    expect(decoders.map((option) => option.properties?.kind.const)).toEqual([
      'yolov5',
      'yolov8',
      'yolo-e2e',
      'yolox',
      'yolo-nas',
      'rtdetr',
      'rtdetr-raw',
      'rtdetr-ultralytics',
      'rfdetr',
      'ssd',
      'ssd-tf',
      'ssd-openvino',
      'efficient-nms',
      'ultraface',
      'yunet',
      'classification',
      'segmentation',
      'raw',
      'module',
      undefined,
    ]);
    for (const { description } of decoders) expect(description.length).toBeGreaterThan(10);
    // A section with `module` needs no kind, and a path alone will do.
    expect(decoders.at(-2)?.required).toEqual(['module']);
    expect(decoders.at(-1)).toMatchObject({ type: 'string' });
  });
});

describe('knownManifestKeys', () => {
  it('finds sections behind defaults, in lists and of every decoder', () => {
    expect(knownManifestKeys(['nms'])).toEqual(['kind', 'iou']);
    expect(knownManifestKeys(['extra_inputs', 0])).toEqual(['name', 'dtype', 'value']);
    expect(knownManifestKeys(['decoder'])).toContain('box_unit');
    expect(knownManifestKeys(['labels'])).toBeUndefined();
  });
});
