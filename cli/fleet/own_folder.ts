import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const OWNER = 'owner';

/** A folder that goes with its process: whoever makes one of the same prefix clears away what others left that were killed. */
export class OwnFolder {
  readonly directory: string;

  /** Throws the errors of the file system. */
  constructor(parent: string, prefix: string) {
    sweep(parent, prefix);
    this.directory = mkdtempSync(join(parent, prefix));
    writeFileSync(join(this.directory, OWNER), processMark(process.pid) ?? '');
  }

  /** Removes it with everything in it. Idempotent. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function sweep(parent: string, prefix: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(prefix)) sweepOne(join(parent, name));
  }
}

function sweepOne(directory: string): void {
  try {
    const mark = readFileSync(join(directory, OWNER), 'utf8');
    const isAlive = mark === '' || processMark(Number(mark.split(' ')[0])) === mark;
    if (!isAlive) rmSync(directory, { recursive: true, force: true });
  } catch {
    // Just being made, or another user's: not ours to clear.
  }
}

/** Process id and start time, which together never come again; null when there is no such process. */
function processMark(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; after it, the start time is the 20th field.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${pid} ${fields[19] ?? ''}`;
  } catch {
    return null;
  }
}
