import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { report } from '../../../../cli/doctor.js';
import { checkBus } from '../../../../cli/doctor/bus.js';
import { absent, missing, ok, warning } from '../../../../cli/doctor/check.js';
import { tempFolder } from '../../../helpers/temp.js';

describe('report', () => {
  test('a mark for each thing, its remedy below, and a verdict', () => {
    expect(
      report([
        ok('media', 'GStreamer', '1.22.0'),
        warning('media', 'rtspsrc', 'not there', 'apt-get install x'),
        absent('GPU', 'NVIDIA', 'none'),
        missing('NATS', 'nats-server', 'not installed', 'apt-get install nats-server'),
      ]),
    ).toBe(`media
  ✓ GStreamer    1.22.0
  ! rtspsrc      not there
      → apt-get install x

GPU
  – NVIDIA       none

NATS
  ✗ nats-server  not installed
      → apt-get install nats-server

1 needed thing is missing.`);
  });

  test('when all is well it says so', () => {
    expect(report([ok('machine', 'Node', 'v20')])).toContain('Nothing that is needed is missing.');
  });
});

describe('the folder of the bus', () => {
  test('that can be made, is private, or is open to others', () => {
    const folder = tempFolder();
    expect(checkBus(join(folder, 'a', 'b'))).toMatchObject([{ state: 'ok', found: 'will be made with mode 0750' }]);
    const bus = join(folder, 'bus');
    mkdirSync(bus, { mode: 0o750 });
    expect(checkBus(bus)).toMatchObject([{ state: 'ok', found: expect.stringContaining('mode 0750') as string }]);
    chmodSync(bus, 0o755);
    expect(checkBus(bus)).toMatchObject([{ state: 'warning', remedy: `chmod 0750 ${bus}` }]);
  });

  test('that is a file', () => {
    const file = join(tempFolder(), 'bus');
    writeFileSync(file, '', { mode: 0o700 });
    expect(checkBus(file)).toMatchObject([{ state: 'missing', found: 'is not a folder' }]);
  });
});
