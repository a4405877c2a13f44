import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Workspace } from '../../../../cli/fleet/workspace.js';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'framebus-workspace-'));
});
afterEach(() => {
  rmSync(parent, { recursive: true, force: true });
});

describe('Workspace', () => {
  it('keeps the bus sockets from others, and goes with everything in it', () => {
    const workspace = new Workspace('demo', parent);
    expect(statSync(workspace.busDirectory).mode & 0o777).toBe(0o750);
    writeFileSync(workspace.configFile, 'x');
    expect(workspace.remove()).toEqual({ leftBehind: [] });
    expect(existsSync(workspace.directory)).toBe(false);
  });

  it('says which sockets the services left', () => {
    const workspace = new Workspace('demo', parent);
    writeFileSync(join(workspace.busDirectory, 'ingest-0.sock'), '');
    expect(workspace.remove()).toEqual({ leftBehind: ['ingest-0.sock'] });
  });

  it('clears what a killed demo left, and nothing of one that runs', () => {
    const running = new Workspace('demo', parent);
    const killed = join(parent, 'framebus-demo-killed');
    mkdirSync(killed);
    // The process id is ours, the start time is not: the number was given out again.
    writeFileSync(join(killed, 'owner'), `${process.pid} 1`);
    const next = new Workspace('demo', parent);
    expect(existsSync(killed)).toBe(false);
    expect(existsSync(running.directory)).toBe(true);
    next.remove();
    running.remove();
  });
});
