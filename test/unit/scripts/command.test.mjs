import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandFailed, Interrupted, run } from '../../../scripts/run/command.mjs';
import { takeLock } from '../../../scripts/run/lock.mjs';

let base;
beforeEach(() => {
  base = mkdtempSync(path.join(tmpdir(), 'framebus-command-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe('run', () => {
  it('keeps the output in the log and hands on its lines', async () => {
    const log = path.join(base, 'log');
    const lines = [];
    const onLine = (line) => lines.push(line);
    await run('sh', ['-c', 'echo one; echo two >&2'], { log, onLine });
    expect(lines.sort()).toEqual(['one', 'two']);
    expect(readFileSync(log, 'utf8')).toMatch(/^\$ sh -c .*\n(one\ntwo|two\none)\n$/);
  });

  it('fails with the exit code, and with the name of a program that is not there', async () => {
    const log = path.join(base, 'log');
    await expect(run('sh', ['-c', 'exit 7'], { log })).rejects.toThrow('exit code 7');
    const missing = run('no-such-program', [], { log });
    await expect(missing).rejects.toThrow('no-such-program: program not found');
    await expect(missing).rejects.toBeInstanceOf(CommandFailed);
  });

  it('ends the program and what that has started when interrupted', async () => {
    const controller = new AbortController();
    let child = 0;
    const onLine = (line) => {
      child = Number(line);
      controller.abort();
    };
    const running = run('sh', ['-c', 'sleep 60 & echo $!; wait'], {
      log: path.join(base, 'log'),
      onLine,
      signal: controller.signal,
    });
    await expect(running).rejects.toBeInstanceOf(Interrupted);
    await expect.poll(() => isAlive(child), { timeout: 5000 }).toBe(false);
  });
});

describe('takeLock', () => {
  it('lets the second in when the first has given it back', async () => {
    const file = path.join(base, 'lock');
    const order = [];
    const release = await takeLock(file);
    const second = takeLock(file).then((releaseSecond) => {
      order.push('second');
      return releaseSecond();
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    order.push('first gives back');
    await release();
    await second;
    expect(order).toEqual(['first gives back', 'second']);
  });

  it('can be given up while waiting', async () => {
    const file = path.join(base, 'lock');
    const release = await takeLock(file);
    const controller = new AbortController();
    const second = takeLock(file, { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toBeInstanceOf(Interrupted);
    await release();
    await (await takeLock(file))();
  });
});

function isAlive(pid) {
  try {
    // A zombie still answers to signals; its state says what it is.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
