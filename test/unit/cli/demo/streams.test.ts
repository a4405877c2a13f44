import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planStreams } from '../../../../cli/demo/streams.js';

let directory: string;
let clip: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'framebus-streams-'));
  clip = join(directory, 'vtest.avi');
  writeFileSync(clip, '');
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const plan = (sources: string[], count: number | null = null) =>
  planStreams({ sources, count, clip, directory });

describe('planStreams', () => {
  it('plays the sample clip in a loop when nothing is given', () => {
    expect(plan([])).toEqual([{ id: 'vtest', source: pathToFileURL(clip).href, loop: true }]);
  });

  it('uses sources in turn, each under a name of its own', () => {
    const streams = plan(['vtest.avi', 'rtsp://user:secret@gate.example:8554/a'], 3);
    expect(streams.map(({ id, loop }) => ({ id, loop }))).toEqual([
      { id: 'vtest', loop: true },
      { id: 'gate-example', loop: false },
      { id: 'vtest-2', loop: true },
    ]);
  });

  it('refuses fewer streams than sources', () => {
    expect(() => plan(['vtest.avi', 'vtest.avi'], 1)).toThrow('--streams 1: 2 sources are given');
  });

  it('names a file that is not there, and a device', () => {
    expect(() => plan(['gone.mp4'])).toThrow(`${join(directory, 'gone.mp4')}: there is no such file`);
    expect(() => plan(['/dev/video97'])).toThrow('/dev/video97: there is no such file');
  });

  it('says what to do when the sample clip is missing', () => {
    rmSync(clip);
    expect(() => plan([])).toThrow(
      expect.objectContaining({ remedy: 'Run "npm run setup", which fetches it.' }),
    );
  });

  it('refuses a scheme that nothing can open', () => {
    expect(() => plan(['rtps://camera/1'])).toThrow('did you mean "rtsp://"?');
  });
});
