import { status } from '@grpc/grpc-js';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeError, ERRORS, exitCodeOf, FramebusError, isErrorCode, toFramebusError } from '../../../lib/errors.js';
import { ROOT } from '../../helpers/process.js';

/** Source files below folders, without generated and built ones. */
function sources(folders: readonly string[], pattern: RegExp): { file: string; text: string }[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && pattern.test(entry.name) && !/\/(build|node_modules)/.test(entry.parentPath))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => ({ file, text: readFileSync(file, 'utf8') })),
  );
}

describe('the catalogue', () => {
  test.each(Object.entries(ERRORS))('%s has a gRPC status, an exit code and a remedy', (_code, entry) => {
    expect(status[entry.grpc]).toBeTypeOf('number');
    expect(entry.exit).toBeGreaterThanOrEqual(0);
    expect(entry.exit).toBeLessThanOrEqual(130);
    expect(entry.remedy).toMatch(/^[A-Z].*\.$/s);
  });

  test('knows every code that the addon throws', () => {
    const native = sources(['native/core', 'native/binding'], /\.(cc|h)$/);
    expect(native.length).toBeGreaterThan(10);
    const unknown = native.flatMap(({ file, text }) =>
      [...text.matchAll(/(?:Error\(|[{(?:]|code = |fail\(\{?)\s*"([A-Z]+(?:_[A-Z]+)+)"/g)]
        .map(([, code]) => code)
        .filter((code) => !isErrorCode(code))
        .map((code) => `${file}: ${String(code)}`),
    );
    expect(unknown).toEqual([]);
  });

  test('has no entry that nobody uses', () => {
    const all = sources(['lib', 'services', 'cli', 'models', 'native', 'scripts'], /\.(ts|mjs|cc|h)$/)
      .filter(({ file }) => !file.endsWith(join('lib', 'errors.ts')) && !file.includes(join('lib', 'errors', '')))
      .map(({ text }) => text)
      .join('\n');
    const own = readFileSync(join(ROOT, 'lib/errors.ts'), 'utf8');
    const unused = Object.keys(ERRORS).filter((code) => !all.includes(code) && !own.includes(`'${code}'`));
    expect(unused).toEqual([]);
  });
});

describe('an error', () => {
  test('reads "object: cause", then what to do', () => {
    const error = new FramebusError('BUS_DIRECTORY', '/run/x: permission denied');
    expect(describeError(error)).toBe(`/run/x: permission denied\n  ${ERRORS.BUS_DIRECTORY.remedy}`);
    expect(exitCodeOf(error)).toBe(77);
    expect(error.retryable).toBe(false);
  });

  test('may know a better remedy, and keeps its cause', () => {
    const cause = new Error('EACCES');
    const error = new FramebusError('BUS_DIRECTORY', '/run/x: no', { cause, remedy: 'Run chown.' });
    expect(describeError(error)).toBe('/run/x: no\n  Run chown.');
    expect(error.cause).toBe(cause);
  });

  test('of the addon becomes one of ours, with its code', () => {
    const native = Object.assign(new Error('ingest-0: in use'), { code: 'BUS_IN_USE' });
    const error = toFramebusError(native);
    expect(error).toMatchObject({ code: 'BUS_IN_USE', message: 'ingest-0: in use', retryable: true, cause: native });
    expect(toFramebusError(error)).toBe(error);
  });

  test('that is no entry of the catalogue is a mistake of ours: it shows where', () => {
    const text = describeError(new TypeError('x is undefined'));
    expect(text).toContain('TypeError: x is undefined');
    expect(text).toContain('errors.test.ts');
    expect(text).toContain(ERRORS.INTERNAL.remedy);
    expect(exitCodeOf('a string')).toBe(70);
    expect(toFramebusError('a string').message).toBe('a string');
  });

  test('with a code that only looks like one is INTERNAL', () => {
    for (const code of ['ENOENT', 'toString', '__proto__', 7, undefined]) {
      expect(toFramebusError(Object.assign(new Error('x'), { code })).code).toBe('INTERNAL');
    }
  });
});
