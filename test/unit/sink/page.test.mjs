import { describe, expect, it } from 'vitest';
import { LiveEdge } from '../../../services/sink/page/live_edge.mjs';
import { concat, mimeType } from '../../../services/sink/page/mp4.mjs';

describe('mimeType', () => {
  const avcc = [0, 0, 0, 20, ...Buffer.from('avcC'), 1, 0x64, 0x00, 0x1f, 0xff];

  it('reads profile, constraints and level of avcC', () => {
    const bytes = concat([new Uint8Array([0, 0, 0, 8, 1, 2, 3, 4]), new Uint8Array(avcc)]);
    expect(mimeType(bytes)).toBe('video/mp4; codecs="avc1.64001f"');
  });

  // Main profile, tier high, level 4 (120), and two bytes of constraints.
  const hvcc = [0, 0, 0, 40, ...Buffer.from('hvcC'), 1, 0x21, 0x60, 0, 0, 0, 0xb0, 0x01, 0, 0, 0, 0, 120, 0xf0];

  it('reads profile, compatibility, tier, level and constraints of hvcC', () => {
    expect(mimeType(new Uint8Array(hvcc))).toBe('video/mp4; codecs="hvc1.1.6.H120.B0.1"');
    const plain = [...hvcc.slice(0, 9), 0x42, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 93];
    expect(mimeType(new Uint8Array(plain))).toBe('video/mp4; codecs="hvc1.A2.4.L93"');
  });

  it.each([['avcC', avcc, 12], ['hvcC', hvcc, 21]])('waits until %s is whole', (_name, box, whole) => {
    for (let length = 0; length < whole; length++) {
      expect(mimeType(new Uint8Array(box.slice(0, length)))).toBeNull();
    }
    expect(mimeType(new Uint8Array(box.slice(0, whole)))).not.toBeNull();
  });
});

/** A video element with one buffered range. */
const video = (start, end, currentTime) => ({
  buffered: { length: 1, start: () => start, end: () => end },
  currentTime,
  playbackRate: 1,
});

describe('LiveEdge', () => {
  it('jumps when it is more than a second behind', () => {
    const v = video(0, 10, 8);
    new LiveEdge().keep(v, 0);
    expect(v.currentTime).toBeCloseTo(9.88);
  });

  it('jumps into the buffer when time starts elsewhere', () => {
    const v = video(100, 100.05, 0);
    new LiveEdge().keep(v, 0);
    expect(v.currentTime).toBe(100);
  });

  it('plays faster only while there is always something to spare', () => {
    const edge = new LiveEdge();
    const v = video(0, 10, 9.5);
    for (let ms = 0; ms <= 3000; ms += 100) edge.keep(v, ms);
    expect(v.playbackRate).toBeGreaterThan(1);
    v.currentTime = 9.95;
    for (let ms = 3100; ms <= 6000; ms += 100) edge.keep(v, ms);
    expect(v.playbackRate).toBe(1);
  });

  it('does not mind a burst', () => {
    const edge = new LiveEdge();
    const v = video(0, 10, 9.95);
    for (let ms = 0; ms <= 6000; ms += 100) {
      v.currentTime = ms % 500 === 0 ? 9.95 : 9.4;
      edge.keep(v, ms);
    }
    expect(v.playbackRate).toBe(1);
  });

  it('lets a stream of two pictures a second have some in hand before it plays', () => {
    const edge = new LiveEdge();
    let endS = 0.5;
    const v = { buffered: { length: 1, start: () => 0, end: () => endS }, currentTime: 0, playbackRate: 1 };
    for (let ms = 0; ms <= 2500; ms += 100) {
      endS = 0.5 * (1 + Math.floor(ms / 500));
      edge.keep(v, ms);
    }
    expect(endS).toBe(3);
    expect(v.currentTime, 'no jump that would begin all over').toBe(0);
    endS = 3.5;
    edge.keep(v, 2600);
    expect(v.currentTime).toBeCloseTo(2);
  });

  it('leaves an empty buffer alone', () => {
    const v = { buffered: { length: 0 }, currentTime: 0, playbackRate: 1 };
    new LiveEdge().keep(v, 0);
    expect(v).toMatchObject({ currentTime: 0, playbackRate: 1 });
  });
});
