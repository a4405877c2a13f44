import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'framebus-demo-';
const OWNER = 'owner';

/** The temporary folder of one demo: configuration, bus sockets, NATS's files. */
export class Workspace {
  readonly directory: string;
  readonly busDirectory: string;
  readonly configFile: string;

  /** Also clears away what demos left that were killed. */
  constructor(parent: string = tmpdir()) {
    sweep(parent);
    this.directory = mkdtempSync(join(parent, PREFIX));
    writeFileSync(join(this.directory, OWNER), processMark(process.pid) ?? '');
    this.busDirectory = join(this.directory, 'bus');
    mkdirSync(this.busDirectory, { mode: 0o750 });
    this.configFile = join(this.directory, 'framebus.yaml');
  }

  /** Removes everything. Says whether the services had left their sockets behind. */
  remove(): { leftBehind: string[] } {
    const leftBehind = existsSync(this.busDirectory) ? readdirSync(this.busDirectory) : [];
    rmSync(this.directory, { recursive: true, force: true });
    return { leftBehind };
  }
}

function sweep(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(PREFIX)) sweepOne(join(parent, name));
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
