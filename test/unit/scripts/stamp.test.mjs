import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentHash, Stamp } from '../../../scripts/run/stamp.mjs';

let base;
beforeEach(() => {
  base = mkdtempSync(path.join(tmpdir(), 'framebus-stamp-'));
  mkdirSync(path.join(base, 'src', 'deep'), { recursive: true });
  writeFileSync(path.join(base, 'src', 'a.ts'), 'a');
  writeFileSync(path.join(base, 'src', 'deep', 'b.ts'), 'b');
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe('contentHash', () => {
  const hash = (options = {}) => contentHash(['src'], { base, ...options });

  it('is the same for the same content, however often it is written', () => {
    const before = hash();
    writeFileSync(path.join(base, 'src', 'a.ts'), 'a');
    expect(hash()).toBe(before);
  });

  it('changes with a content, a name, a new file and with the extras', () => {
    const before = hash();
    const seen = new Set([before]);
    writeFileSync(path.join(base, 'src', 'a.ts'), 'A');
    seen.add(hash());
    writeFileSync(path.join(base, 'src', 'c.ts'), '');
    seen.add(hash());
    seen.add(hash({ extra: ['compiler 2'] }));
    expect(seen.size).toBe(4);
  });

  it('does not look at build folders nor at files that are not accepted', () => {
    const accept = (file) => file.endsWith('.ts');
    const before = hash({ accept });
    mkdirSync(path.join(base, 'src', 'build-mine'));
    writeFileSync(path.join(base, 'src', 'build-mine', 'x.ts'), 'x');
    writeFileSync(path.join(base, 'src', 'notes.md'), 'x');
    expect(hash({ accept })).toBe(before);
  });
});

describe('Stamp', () => {
  it('holds for its key only, and only while the outputs exist', () => {
    const output = path.join(base, 'output');
    const stamp = new Stamp('step', path.join(base, 'state'));
    expect(stamp.holds('key', [])).toBe(false);
    stamp.write('key');
    expect(stamp.holds('key', [])).toBe(true);
    expect(stamp.holds('other', [])).toBe(false);
    expect(stamp.holds('key', [output])).toBe(false);
    writeFileSync(output, '');
    expect(stamp.holds('key', [output])).toBe(true);
  });
});
