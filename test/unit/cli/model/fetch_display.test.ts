import { describe, expect, it } from 'vitest';
import { bytesText } from '../../../../cli/bytes.js';
import { FetchDisplay, progressLine } from '../../../../cli/model/fetch_display.js';
import { Screen } from '../../../../cli/demo/screen.js';

const MIB = 2 ** 20;

describe('bytesText', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [MIB - 1, '1.0 MiB'],
    [3.5 * MIB, '3.5 MiB'],
    [2048 * MIB, '2.0 GiB'],
    [5000 * 1024 * MIB, '5000.0 GiB'],
  ])('%d is %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });
});

describe('progressLine', () => {
  const base = { name: 'some', elapsedMs: 4_000, bytesPerSecond: 2 * MIB };
  const download = { phase: 'download' as const, what: 'http://x/some.onnx' };

  it('has bytes, rate and the time that is left', () => {
    const progress = { ...download, receivedBytes: 3 * MIB, totalBytes: 12 * MIB };
    expect(progressLine({ ...base, progress })).toBe('some  ━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  25 %  3.0 MiB of 12.0 MiB  2.0 MiB/s  0:05 left');
  });

  it('says no time before there is a rate, and never more than all', () => {
    const progress = { ...download, receivedBytes: 13 * MIB, totalBytes: 12 * MIB };
    const line = progressLine({ ...base, progress, bytesPerSecond: null });
    expect(line).toContain(' 100 %');
    expect(line).not.toContain('left');
  });

  it('counts up where the size is not known', () => {
    const some = { ...download, receivedBytes: MIB, totalBytes: null };
    expect(progressLine({ ...base, progress: some })).toBe('some  downloading http://x/some.onnx  1.0 MiB  2.0 MiB/s  0:04');
    const none = { phase: 'convert' as const, what: 'p@1.0.0', receivedBytes: 0, totalBytes: null };
    expect(progressLine({ ...base, progress: none })).toBe('some  converting p@1.0.0  0:04');
  });
});

describe('FetchDisplay without a terminal', () => {
  it('writes a line a phase', () => {
    let text = '';
    const out = { write: (more: string) => (text += more) !== '' };
    const display = new FetchDisplay('some', new Screen(out), out);
    expect(display.active).toBe(false);
    for (const receivedBytes of [1, 2, 3]) display.update({ phase: 'download', what: 'u', receivedBytes, totalBytes: 3 });
    display.update({ phase: 'verify', what: 'some', receivedBytes: 0, totalBytes: null });
    display.close();
    expect(display.active).toBe(true);
    expect(text).toBe('some: downloading u (1 B of 3 B)\nsome: checking some\n');
  });
});
