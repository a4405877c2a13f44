import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { hasTestData, probedClips, type ProbedClip } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';

/** Streams at a time: what two cores decode and encode in reasonable time. */
const AT_ONCE = 7;

const idOf = (clip: ProbedClip): string => basename(clip.file).replaceAll(/[^A-Za-z0-9_-]/g, '-');

const groups = (clips: ProbedClip[]): ProbedClip[][] =>
  Array.from({ length: Math.ceil(clips.length / AT_ONCE) }, (_, i) =>
    clips.slice(i * AT_ONCE, (i + 1) * AT_ONCE),
  );

describe.skipIf(!hasTestData('video/PROBE.txt'))('files as cameras and phones leave them', () => {
  const clips = hasTestData('video/PROBE.txt')
    ? probedClips().filter((clip) => clip.file.includes('/robust/'))
    : [];

  it.each(groups(clips).map((group) => ({ names: group.map(idOf).join(', '), group })))(
    'go through the pipeline frame by frame, or end with an error that names them: $names',
    async ({ group }) => {
      const pipeline = await Pipeline.create({
        streams: Object.fromEntries(
          group.map((clip) => [
            idOf(clip),
            { source: clip.file, pace: 'fast', mode: 'lossless', model: null },
          ]),
        ),
      });
      await pipeline.run('sink');
      const ingest = await pipeline.run('ingest');
      const done = (clip: ProbedClip): boolean => {
        const state = pipeline.stream('ingest', idOf(clip))?.state;
        if (state === StreamState.STREAM_STATE_FAILED) return true;
        const sink = pipeline.stream('sink', idOf(clip));
        const decoded = pipeline.stream('ingest', idOf(clip))?.framesIn;
        return state === StreamState.STREAM_STATE_ENDED && sink?.framesOut === decoded;
      };
      await eventually(
        () => {
          const open = group.filter((clip) => !done(clip)).map(idOf);
          return `all frames out; still open: ${open.join(', ')}\n${pipeline.output()}`;
        },
        () => group.every(done),
        { timeoutMs: 150_000 },
      );
      expect(ingest.child.exitCode).toBeNull();
      for (const clip of group) {
        const { state, reason, framesIn } = pipeline.stream('ingest', idOf(clip)) ?? {};
        if (clip.frames === 0) {
          expect(state, idOf(clip)).toBe(StreamState.STREAM_STATE_FAILED);
          expect(reason).toContain(basename(clip.file));
        } else {
          expect(state, `${idOf(clip)}: ${reason ?? ''}`).toBe(StreamState.STREAM_STATE_ENDED);
          expect(Math.abs(Number(framesIn) - clip.frames), idOf(clip)).toBeLessThanOrEqual(1);
        }
      }
    },
    180_000,
  );
});
