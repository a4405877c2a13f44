import { describe, expect, test } from 'vitest';
import type { OsdConfig } from '../../../../lib/config.js';
import { configProblem, parse } from '../../../helpers/config.js';

const ofStream = (osd: string, defaults = '{}'): OsdConfig | undefined =>
  parse(`defaults: {osd: ${defaults}}\nstreams: {gate: {source: /c.mp4, osd: ${osd}}}`).streams[0]?.osd;

const wrong = (osd: string): string => configProblem(`defaults: {osd: ${osd}}\nstreams: {gate: {source: /c.mp4}}`);

describe('osd', () => {
  test('a stream says only what differs', () => {
    const defaults = '{color: track, trails: 3s, text: yard, conceal: {labels: [face], with: fill}, shapes: [{kind: circle, points: [[0.5, 0.5], [0.6, 0.5]]}]}';
    expect(ofStream("{label: [], trails: 0, text: '', conceal: {with: blur}}", defaults)).toEqual({
      color: 'track',
      label: [],
      lineWidth: 0,
      fontSize: 0,
      objects: true,
      trailsMs: 0,
      clock: false,
      text: '',
      conceal: { labels: ['face'], with: 'blur' },
      shapes: [{ kind: 'circle', points: [[0.5, 0.5], [0.6, 0.5]], color: 0xffffff, label: '' }],
    });
    expect(ofStream('{conceal: {labels: []}, shapes: []}', defaults)).toMatchObject({ conceal: { labels: [], with: 'fill' }, shapes: [] });
  });

  test('streams that the file does not name get the defaults, what is to be concealed above all', () => {
    const config = parse('defaults: {osd: {conceal: {labels: [face]}}}\nstreams: {gate: {source: /c.mp4, osd: {conceal: {labels: []}}}}');
    expect(config.defaults.osd.conceal).toEqual({ labels: ['face'], with: 'blur' });
  });

  test('shapes have colours and names', () => {
    const shapes = ofStream("{shapes: [{kind: line, points: [[0, 0], [1, 1]], color: '#Ff8000', label: way in}]}")?.shapes;
    expect(shapes).toEqual([{ kind: 'line', points: [[0, 0], [1, 1]], color: 0xff8000, label: 'way in' }]);
  });

  test.each([
    ['{colour: track}', 'defaults.osd.colour: unknown key; did you mean "color"?'],
    ['{label: [name, age]}', 'must be one of name, track, confidence, attributes, is "age"'],
    ['{font_size: 5}', 'must be 0, or from 8 to 400, is 5'],
    ['{trails: 2m}', 'must be from 0ms to 1m, is "2m"'],
    ['{text: "two\\nlines"}', 'must be one line of at most 200 characters'],
    ['{conceal: {labels: [face], with: veil}}', 'defaults.osd.conceal.with: must be one of blur, fill, is "veil"'],
    ['{conceal: {labels: face}}', 'must be a list, is "face"'],
    ['{shapes: [{kind: star, points: []}]}', 'must be one of line, arrow, circle, polygon, is "star"'],
    ['{shapes: [{kind: polygon, points: [[0, 0], [1, 1]]}]}', 'defaults.osd.shapes[0].points: a polygon has 3 to 64 points, not 2'],
    ['{shapes: [{kind: circle, points: [[0, 0], [1, 1], [0, 1]]}]}', 'a circle has 2 points, not 3'],
    ['{shapes: [{kind: line, points: [[0, 0], [1, 1.5]]}]}', 'must be from 0 to 1, is 1.5'],
    ['{shapes: [{kind: line, points: [[0, 0], [1, 1]], color: red}]}', `must be a colour such as '#ff8000', in quotes, is "red"`],
  ])('refuses %s', (osd, message) => {
    expect(wrong(osd)).toContain(message);
  });

  test('refuses to leave out what is to be concealed', () => {
    const text = (more: string): string =>
      configProblem(`defaults: {labels: [person], ${more}}\nstreams: {gate: {source: /c.mp4, osd: {conceal: {labels: [person, face]}}}}`);
    expect(text('')).toMatch(/streams\.gate\.labels: must keep face, which osd\.conceal\.labels names/);
    expect(text('secondary: [{model: faces}]')).toBe('');
    const resting = 'secondary: [{model: faces, interval: 3}]';
    expect(text(resting)).toBe('');
    expect(text(`${resting}, tracker: {kind: none}`)).toMatch(/streams\.gate\.tracker: must not be none where/);
  });
});
