import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT, TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

interface Level {
  fds: number;
  maps: number;
  /** Resident, not shared. */
  residentBytes: number;
  /** Of V8, and what it knows of outside. */
  heapBytes: number;
}

const MIB = 1 << 20;

/** After the warm-up, and at the end. */
async function levels(what: 'frames' | 'attaches'): Promise<[Level, Level]> {
  const fixture = join(ROOT, 'test', 'fixtures', 'bus_leak.mjs');
  // With a small nursery: V8 would take more pages for a long time.
  const flags = ['--expose-gc', '--max-semi-space-size=1'];
  const child = new TestProcess(process.execPath, [...flags, fixture, tempFolder(), what]);
  expect(await child.exitCode(), child.stderr).toBe(0);
  return JSON.parse(child.stdout) as [Level, Level];
}

function growth([warm, end]: [Level, Level]): { heapBytes: number; residentBytes: number } {
  expect([end.fds, end.maps]).toEqual([warm.fds, warm.maps]);
  return { heapBytes: end.heapBytes - warm.heapBytes, residentBytes: end.residentBytes - warm.residentBytes };
}

describe('nothing grows in Node', () => {
  it('over 100,000 frames, each leased, looked at and released by two consumers', async () => {
    const { heapBytes, residentBytes } = growth(await levels('frames'));
    // 5 and 30 bytes a frame.
    expect(heapBytes).toBeLessThan(MIB / 2);
    expect(residentBytes).toBeLessThan(3 * MIB);
  });

  it('over 1,000 consumers and 200 pools that come and go', async () => {
    const { heapBytes, residentBytes } = growth(await levels('attaches'));
    // 500 bytes and 2 KiB an attach: no thread's stack, no page of a mapping.
    expect(heapBytes).toBeLessThan(MIB / 2);
    expect(residentBytes).toBeLessThan(2 * MIB);
  });
});
