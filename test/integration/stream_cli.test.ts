import { describe, expect, test } from 'vitest';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode } from '../helpers/process.js';

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** A running ingest, and `framebus stream` that asks it. */
async function start(): Promise<{ pipeline: Pipeline; stream: (...args: string[]) => Promise<Outcome> }> {
  const pipeline = await Pipeline.create({
    streams: {
      gate: { source: SAMPLE_CLIP, loop: true, labels: ['person'] },
      yard: { source: SAMPLE_CLIP, loop: true, model: null },
    },
  });
  await pipeline.run('ingest');
  const address = pipeline.status('ingest')?.addresses['grpc'] ?? '';
  return { pipeline, stream: (...args) => framebus('stream', ...args, '--address', address) };
}

async function framebus(...args: string[]): Promise<Outcome> {
  const command = runNode(['cli/framebus.mjs', ...args]);
  const code = await command.exitCode();
  return { code, out: command.stdout, err: command.stderr };
}

const json = ({ out }: Outcome): unknown => JSON.parse(out);

describe('framebus stream', () => {
  test('shows, changes and takes back, and says what holds', async () => {
    const { stream } = await start();
    const before = await stream('ls');
    expect(before.out.split('\n').slice(0, 3)).toEqual([
      'stream  model                 interval  labels  min confidence  thresholds  region',
      'gate    ssdlite-mobilenet-v2         0  person  the model’s     –           whole frame',
      'yard    none                         0  all     the model’s     –           whole frame',
    ]);

    const set = await stream('set', 'gate', ...['--interval', '2', '--labels', 'person,car', '--min-confidence', '0.4'], ...['--region', '0.5,0,0.5,1']);
    expect([set.code, set.err]).toEqual([0, '']);
    expect(set.out).toBe(
      [
        'gate, revision 1',
        '  model           ssdlite-mobilenet-v2',
        '  interval        2                     changed while running',
        '  labels          person, car           changed while running',
        '  min confidence  0.4                   changed while running',
        '  thresholds      –',
        '  region          0.5,0,0.5,1           changed while running',
        '',
      ].join('\n'),
    );

    await stream('set', 'gate', '--threshold', 'person=0.5', '-t', 'car=0.25');
    await stream('set', 'gate', '--threshold', 'car=none', '-t', 'bus=0.1', '--no-region', '--no-min-confidence', '--model', 'none');
    const shown = json(await stream('show', 'gate', '--json'));
    expect(shown).toEqual({
      streamId: 'gate',
      settings: { model: null, interval: 2, labels: ['person', 'car'], minConfidence: null, thresholds: { person: 0.5, bus: 0.1 }, region: null },
      changed: ['model', 'interval', 'labels', 'thresholds'],
      revision: 3,
    });
    expect(json(await stream('ls', '--json'))).toMatchObject([shown, { streamId: 'yard', changed: [] }]);

    const reset = await stream('reset', 'yard', '--json');
    expect(json(reset)).toMatchObject({ streamId: 'yard', settings: { model: null }, changed: [] });
  });

  test('ends with the exit code of what is wrong, and its remedy', async () => {
    const { stream } = await start();
    type Case = [args: string[], code: number, err: RegExp];
    const cases: Case[] = [
      [['show', 'nowhere'], 66, /^framebus: stream "nowhere": not found; known are gate, yard\n {2}Use one of the names under streams: in the configuration\.\n$/],
      [['set', 'gate', '--labels', 'persn'], 64, /^framebus: streams\.gate\.labels: "persn": model ssdlite-mobilenet-v2 has no such label\n {2}Use some of: person, bicycle.*\.\n$/],
      [['set', 'gate', '--model', 'nosuch'], 66, /^framebus: model "nosuch": there is no such manifest in .*\n {2}Name one that "framebus model ls" shows/],
      [['set', 'gate', '--region', '0.5,0,0.6,1'], 64, /^framebus: streams\.gate\.region: must lie within the frame/],
      [['set', 'gate'], 64, /^framebus: framebus stream set: nothing to change was named\n/],
      [['set', 'gate', '--interval', 'often'], 64, /Give a whole number from 0 to 10000\./],
      [['set', 'gate', '--threshold', 'person'], 64, /Give label=number from 0 to 1, for example person=0\.5/],
    ];
    for (const [args, code, err] of cases) {
      const outcome = await stream(...args);
      expect([outcome.code, outcome.out], outcome.err).toEqual([code, '']);
      expect(outcome.err).toMatch(err);
    }
  });

  test('finds ingest by the configuration, and says when it is not there', async () => {
    const { pipeline } = await start();
    const port = Number(/:(\d+)$/.exec(pipeline.status('ingest')?.addresses['grpc'] ?? '')?.[1]);
    const config = pipeline.variant({ ingest: { grpc: { host: '127.0.0.1', port } } });
    const found = await framebus('stream', 'show', 'yard', '--config', config);
    expect([found.code, found.err]).toEqual([0, '']);
    expect(found.out).toContain('yard, revision 0');
    pipeline.process('ingest-0').kill('SIGTERM');
    expect(await pipeline.process('ingest-0').exitCode()).toBe(0);
    const gone = await framebus('stream', 'show', 'yard', '--config', config);
    expect(gone.code).toBe(69);
    expect(gone.err).toMatch(new RegExp(`^framebus: ingest at 127\\.0\\.0\\.1:${port}: connection refused\n`));
  });
});
