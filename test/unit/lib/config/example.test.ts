import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isPair, isScalar, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../../lib/config.js';
import { knownKeys, schema } from '../../../../lib/config/schema.js';
import { ROOT } from '../../../helpers/process.js';

const TEXT = readFileSync(join(ROOT, 'framebus.example.yaml'), 'utf8');

/** Every key path of the schema, for example "sink.http.port". */
function schemaPaths(path: string[] = []): string[] {
  return (knownKeys(path) ?? []).flatMap((key) => [
    [...path, key].join('.'),
    ...(key === 'streams' ? [] : schemaPaths([...path, key])),
  ]);
}

/** Every key path that a YAML text has. */
function writtenPaths(): string[] {
  const paths: string[] = [];
  visit(parseDocument(TEXT), {
    Pair: (_key, pair, parents) => {
      const above = parents.filter(isPair).map((parent) => parent.key);
      paths.push([...above, pair.key].map((key) => (isScalar(key) ? String(key.value) : '')).join('.'));
    },
  });
  return paths;
}

test('every key of the schema stands in the example, and no other', () => {
  const wanted = schemaPaths();
  expect(wanted).toContain('sink.reorder.deadline');
  expect(wanted.length).toBeGreaterThan(50);
  const written = writtenPaths();
  expect(wanted.filter((path) => !written.includes(path))).toEqual([]);
  expect(written.filter((path) => !path.startsWith('streams.') && !wanted.includes(path))).toEqual([]);
});

test('its values are the defaults', () => {
  const example = parseConfig(TEXT, 'framebus.example.yaml', {});
  const stream = '{gate: {source: "rtsp://192.0.2.10/stream1"}}';
  expect(example).toEqual(parseConfig(`streams: ${stream}`, 'framebus.example.yaml', {}));
});

test('keys of a stream alone stand in its stream; the others are those of defaults', () => {
  const own = ['source', 'loop', 'pace'];
  for (const key of own) expect(writtenPaths()).toContain(`streams.gate.${key}`);
  const ofStream = knownKeys(['streams', 'gate']) ?? [];
  expect(new Set(ofStream)).toEqual(new Set([...own, ...(knownKeys(['defaults']) ?? [])]));
});

test('every key is explained', () => {
  const lines = TEXT.split('\n');
  const document = parseDocument(TEXT, { keepSourceTokens: true });
  expect(isMap(document.contents)).toBe(true);
  const unexplained: string[] = [];
  for (const [i, line] of lines.entries()) {
    const key = /^\s+(\w+):/.exec(line)?.[1];
    // Two keys may share the comment above the first, as host and port do.
    const explained = [lines[i - 1], lines[i - 2]].some((above) => /^\s*(#|(host|http|grpc|rtsp|reorder|encode|batch|reconnect|initial|name)\b)/.test(above ?? ''));
    const isSection = line.trimEnd().endsWith(':');
    if (key !== undefined && !isSection && !explained) unexplained.push(`${i + 1}: ${line}`);
  }
  expect(unexplained).toEqual([]);
});

test('the schema is strict at every level', () => {
  const loose: string[] = [];
  const walk = (node: unknown, path: string): void => {
    const inner = node instanceof z.ZodPipe ? node.out : node;
    if (inner instanceof z.ZodRecord) walk(inner.valueType, `${path}.*`);
    if (!(inner instanceof z.ZodObject)) return;
    if (!(inner.def.catchall instanceof z.ZodNever)) loose.push(path);
    for (const [key, child] of Object.entries(inner.shape)) walk(child, `${path}.${key}`);
  };
  walk(schema, '');
  expect(loose).toEqual([]);
});
