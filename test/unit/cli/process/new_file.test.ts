import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NewFile } from '../../../../cli/process/new_file.js';
import { tempFolder } from '../../../helpers/temp.js';

test('it appears whole, beside nothing', () => {
  const folder = tempFolder();
  const path = join(folder, 'out.mp4');
  const file = new NewFile(path, false);
  writeFileSync(file.draft, 'new');
  expect(existsSync(path)).toBe(false);
  file.publish();
  file.remove();
  expect(readdirSync(folder)).toEqual(['out.mp4']);
  expect(readFileSync(path, 'utf8')).toBe('new');
});

test('a file that is there stays, even one that came meanwhile', () => {
  const folder = tempFolder();
  const path = join(folder, 'out.mp4');
  const file = new NewFile(path, false);
  writeFileSync(file.draft, 'new');
  writeFileSync(path, 'old');
  expect(() => {
    file.publish();
  }).toThrow(`${path}: is there already`);
  expect(() => new NewFile(path, false)).toThrow('is there already');
  file.remove();
  expect(readFileSync(path, 'utf8')).toBe('old');
});

test('by force it takes the place of another one, not of a folder', () => {
  const folder = tempFolder();
  const path = join(folder, 'out.mp4');
  writeFileSync(path, 'old');
  const file = new NewFile(path, true);
  writeFileSync(file.draft, 'new');
  file.publish();
  file.remove();
  expect(readFileSync(path, 'utf8')).toBe('new');
  mkdirSync(join(folder, 'taken'));
  expect(() => new NewFile(join(folder, 'taken'), true)).toThrow('is a folder');
});
