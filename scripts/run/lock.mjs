/** One set-up at a time in a checkout. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Interrupted } from './command.mjs';

/**
 * Takes the lock, waiting for whoever has it. The kernel's file lock is held by flock(1), which
 * ends with our pipe to it: however this process dies, the lock is free again.
 * @param {string} file
 * @param {{signal?: AbortSignal, onWait?: () => void}} [options]
 * @returns {Promise<() => Promise<void>>} gives the lock back
 */
export async function takeLock(file, { signal, onWait } = {}) {
  if (signal?.aborted) throw new Interrupted();
  mkdirSync(path.dirname(file), { recursive: true });
  const holder = spawn('flock', [file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = new Promise((resolve) => holder.once('close', resolve));
  const waiting = setTimeout(() => onWait?.(), 500);
  try {
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('close', () => reject(new Error(`${file}: flock ended without the lock`)));
      holder.once('error', (cause) => {
        reject(new Error(`flock: ${cause.message} (it is part of util-linux)`, { cause }));
      });
      signal?.addEventListener('abort', () => reject(new Interrupted()), { once: true });
    });
  } catch (error) {
    holder.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(waiting);
  }
  holder.stdout.resume();
  return async () => {
    holder.stdin.end();
    await ended;
  };
}
