import { expect, test } from 'vitest';
import { isFile, producerOf, sourceProblem, toUri } from '../../../../lib/config/source_uri.js';

test.each([
  ['clip.mp4', 'file:///etc/clip.mp4'],
  ['../a%20b#c.mp4', 'file:///a%2520b%23c.mp4'],
  ['/var/clip.mp4', 'file:///var/clip.mp4'],
  ['file:///a b.mp4', 'file:///a%20b.mp4'],
  ['file:///a%20b.mp4', 'file:///a%20b.mp4'],
  ['/dev/video0', 'v4l2:///dev/video0'],
  ['v4l2:///dev/video2', 'v4l2:///dev/video2'],
  ['rtsp://joe:pa%40ss@cam:8554/1?x=y', 'rtsp://joe:pa%40ss@cam:8554/1?x=y'],
])('%s becomes %s', (source, uri) => {
  expect(sourceProblem(source)).toBeNull();
  expect(toUri(source, '/etc')).toBe(uri);
});

test.each([
  ['', 'must not be empty'],
  ['rstp://cam/1', 'did you mean "rtsp://"'],
  ['gopher://cam/1', 'unknown scheme "gopher://" (known: file, http'],
  ['file://clip.mp4', 'three slashes'],
  ['v4l2://dev/video0', 'such as v4l2:///dev/video0'],
  ['rtsp://', 'is not a URI'],
  ['bus://', 'must be bus:// and the producer'],
  ['bus://my app', 'must be bus:// and the producer'],
  ['rtsp://joe:p/ss@cam/1', 'write special characters of a password as %XX'],
])('%s is refused: %s', (source, problem) => {
  expect(sourceProblem(source)).toContain(problem);
});

test('files are told from live sources', () => {
  expect(['a.mp4', '/a.mp4', 'file:///a.mp4', '/dev/videos/a.mp4'].map(isFile)).toEqual([true, true, true, true]);
  expect(['/dev/video0', 'rtsp://c/1', 'http://h/a.mp4', 'RTSP://c/1'].map(isFile)).toEqual([false, false, false, false]);
});

test('a bus:// source names the producer of its frames', () => {
  expect(sourceProblem('bus://my-app')).toBeNull();
  expect(toUri('bus://my-app', '/etc')).toBe('bus://my-app');
  expect(isFile('bus://my-app')).toBe(false);
  expect(['bus://my-app', 'BUS://my-app/', 'rtsp://c/1', '/bus/x'].map(producerOf)).toEqual(['my-app', 'my-app', null, null]);
});
