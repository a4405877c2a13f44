import { InvalidArgumentError, type Command } from 'commander';
import { basename, dirname, extname, join } from 'node:path';
import { parseDuration } from '../lib/config/duration.js';
import { cacheDirectory } from '../lib/config/locations.js';
import { codeOf, describeError, EXIT, exitCodeOf } from '../lib/errors.js';
import { ensureModel } from '../models/fetch.js';
import { findManifest } from '../models/find.js';
import { Demo, type DemoPlan } from './demo/demo.js';
import type { DemoAddresses } from './demo/report.js';
import { Screen } from './demo/screen.js';
import { StopRequest } from './demo/stop_request.js';
import { planStreams } from './demo/streams.js';

const DEFAULT_MODEL = 'ssdlite-mobilenet-v2';
const SAMPLE_CLIP = 'vtest.avi';
const MOST_STREAMS = 64;

/** Options of `framebus demo`, as commander gives them. */
interface DemoOptions {
  streams?: number;
  source: string[];
  model: string;
  duration?: number;
  json?: true;
}

/** Adds `framebus demo`. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('Run all three services on a clip or camera, and show what they do')
    .option('--streams <n>', 'number of streams; sources are used in turn', streamCount)
    .option('--source <uri>', 'file, rtsp://, http:// or /dev/videoN; may be given again', collect, [])
    .option('--model <name|file>', 'a model of models/, or a manifest', DEFAULT_MODEL)
    .option('--duration <time>', 'end by itself after, for example, 20s', durationMs)
    .option('--json', 'no table; at the end one JSON object on stdout')
    .action(async (options: DemoOptions) => {
      process.exitCode = await runDemo(options);
    });
}

/** Returns the exit code. */
async function runDemo(options: DemoOptions): Promise<number> {
  const screen = new Screen(options.json === true ? process.stderr : process.stdout);
  let demo: Demo | null = null;
  const stop = new StopRequest(() => {
    demo?.kill();
    process.exit(EXIT.interrupted);
  });
  try {
    demo = new Demo(await makePlan(options, screen, stop.signal));
    return await play(demo, options.json === true, screen, stop.signal);
  } catch (error) {
    screen.clear();
    if (codeOf(error) !== 'CANCELLED') process.stderr.write(`${describeError(error)}\n`);
    return exitCodeOf(error);
  } finally {
    stop.close();
  }
}

async function play(demo: Demo, json: boolean, screen: Screen, signal: AbortSignal): Promise<number> {
  let addresses: DemoAddresses;
  let isClean: boolean;
  try {
    addresses = await demo.start(signal);
    showAddresses(addresses, screen);
    await demo.watch(signal);
    screen.keep();
    screen.print('Ending …');
  } finally {
    isClean = await demo.stop();
  }
  if (!isClean) screen.print('A service did not end by itself, or left a socket behind.');
  if (json) process.stdout.write(`${JSON.stringify(demo.report(addresses, isClean))}\n`);
  return isClean ? 0 : 1;
}

async function makePlan(options: DemoOptions, screen: Screen, signal: AbortSignal): Promise<DemoPlan> {
  const cache = cacheDirectory(null, process.cwd(), process.env);
  const streams = planStreams({
    sources: options.source,
    count: options.streams ?? null,
    clip: join(cache, SAMPLE_CLIP),
    directory: process.cwd(),
  });
  const manifest = findManifest(options.model);
  const startedAtMs = performance.now();
  await ensureModel(options.model, {
    cacheDirectory: cache,
    signal,
    onProgress: ({ phase, what }) => {
      screen.progress(`Model: ${phase} ${what}`, performance.now() - startedAtMs);
    },
  });
  const natsUrl = process.env['NATS_URL'];
  return {
    streams,
    model: {
      directory: dirname(manifest.file),
      name: basename(manifest.file, extname(manifest.file)),
    },
    durationMs: options.duration ?? null,
    quiet: options.json === true,
    natsUrl: natsUrl === undefined || natsUrl === '' ? null : natsUrl,
    screen,
  };
}

function showAddresses({ rtsp, grpc, page }: DemoAddresses, screen: Screen): void {
  screen.print('Frames flow.');
  for (const url of rtsp) screen.print(`  RTSP   ${url}`);
  screen.print(`  gRPC   ${grpc}`);
  screen.print(`  Page   ${page}`);
  screen.print('Ctrl-C ends it.');
  screen.print('');
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function streamCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MOST_STREAMS) return count;
  throw new InvalidArgumentError(`Give a whole number from 1 to ${MOST_STREAMS}.`);
}

function durationMs(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms > 0) return ms;
  throw new InvalidArgumentError('Give a time with its unit, such as 20s or 5m.');
}
