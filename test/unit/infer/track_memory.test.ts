import { describe, expect, it } from 'vitest';
import { TrackMemory, type FoundObject } from '../../../services/infer/track_memory.js';
import { TrackHints } from '#proto/framebus/track/v1/track_hints.js';

function rig() {
  let nowMs = 0;
  const memory = new TrackMemory(() => nowMs);
  const hear = (looked: Record<string, bigint> = {}, uuid = 'e'): void =>
    memory.hear(
      TrackHints.fromPartial({
        streamId: 'gate',
        epoch: { uuid },
        tracks: [
          { trackId: 7n, box: { x: 10, y: 10, width: 20, height: 20 }, classId: 1, looked },
          { trackId: 8n, box: { x: 60, y: 10, width: 20, height: 20 }, classId: 1 },
        ],
      }),
    );
  return { memory, hear, pass: (ms: number) => (nowMs += ms) };
}

const found = (seq: number, x = 12, classId = 1): FoundObject => ({
  frame: { streamId: 'gate', epoch: { uuid: 'e', createdUnixNs: 0n }, seq: BigInt(seq) },
  box: { x, y: 10, width: 20, height: 20 },
  classId,
});

describe('TrackMemory', () => {
  it('knows nothing of streams whose objects nobody follows, or has not for a while', () => {
    const { memory, hear, pass } = rig();
    expect(memory.isDue(found(1), 'colour', 5)).toBeNull();
    hear({}, 'another');
    expect(memory.isDue(found(1), 'colour', 5)).toBeNull();
    hear();
    expect(memory.isDue(found(1), 'colour', 5)).toBe(true);
    pass(1_001);
    expect(memory.isDue(found(50), 'colour', 5)).toBeNull();
  });

  it('counts frames of each object and model by themselves, from looks of this worker and of others', () => {
    const { memory, hear } = rig();
    hear({ colour: 11n });
    expect([14, 15, 16].map((seq) => memory.isDue(found(seq), 'colour', 5))).toEqual([false, false, true]);
    // Sink has not heard of it yet.
    expect(memory.isDue(found(17), 'colour', 5)).toBe(false);
    expect([memory.isDue(found(17), 'shape', 5), memory.isDue(found(17, 62), 'colour', 5)]).toEqual([true, true]);
  });

  it('looks at what is new', () => {
    const { memory, hear } = rig();
    hear({ colour: 11n });
    expect([memory.isDue(found(12, 35), 'colour', 5), memory.isDue(found(13, 35), 'colour', 5)]).toEqual([true, true]);
    // The same place, another class.
    expect(memory.isDue(found(12, 12, 2), 'colour', 5)).toBe(true);
  });
});
