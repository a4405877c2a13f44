import { InvalidArgumentError, Option, type Command } from 'commander';
import { basename, dirname, extname, resolve } from 'node:path';
import { existsSync, realpathSync } from 'node:fs';
import { cacheDirectory } from '../lib/config/locations.js';
import { codeOf, describeError, EXIT, exitCodeOf, FramebusError } from '../lib/errors.js';
import { ensureModel } from '../models/fetch.js';
import { findManifest } from '../models/find.js';
import { inspectMediaFile, type Container, type MediaFile } from '../native/index.js';
import { Screen } from './demo/screen.js';
import { StopRequest } from './demo/stop_request.js';
import { nameOf } from './demo/streams.js';
import { FileProcess, type ProcessPlan } from './process/file_process.js';
import { NewFile } from './process/new_file.js';
import { reportLine, type ProcessReport } from './process/report.js';

const DEFAULT_MODEL = 'ssdlite-mobilenet-v2';
/** Detects nothing: the file is decoded and encoded. */
const NO_MODEL = 'none';
const CONTAINERS: Readonly<Record<string, Container>> = { '.mp4': 'mp4', '.mkv': 'matroska' };

/** Options of `framebus process`, as commander gives them. */
interface ProcessOptions {
  out: string;
  detections?: string;
  model: string;
  interval: number;
  draw: boolean;
  audio: boolean;
  codec: 'h264' | 'h265';
  quality: number;
  force?: true;
  json?: true;
}

const EXAMPLES = `
Examples:
  framebus process in.mp4 --out out.mp4
  framebus process in.mkv --out out.mkv --detections out.jsonl --model yolox-nano-416
  framebus process in.mp4 --out plain.mp4 --no-draw --detections seen.jsonl

Every frame is decoded, detected, tracked, drawn and encoded; frames, their times and the
sound are those of the input. Ctrl-C leaves nothing behind.`;

/** Adds `framebus process`. */
export function registerProcess(program: Command): void {
  program
    .command('process')
    .description('Make a file of a file: what is seen is drawn on every frame, and written down')
    .argument('<file>', 'video')
    .requiredOption('-o, --out <file>', 'what to make: .mp4 or .mkv')
    .option('-d, --detections <file>', 'what is seen, as a line of JSON per frame')
    .option('--model <name|file>', `a model of models/, or a manifest; "${NO_MODEL}" detects nothing`, DEFAULT_MODEL)
    .option('--interval <n>', 'frames to leave out after each one that the model looks at; tracks fill them in', wholeNumber(0, 10_000), 0)
    .option('--no-draw', 'draw no boxes and labels')
    .option('--no-audio', 'leave the sound out')
    .addOption(new Option('--codec <codec>', 'of the result').choices(['h264', 'h265']).default('h264'))
    .option('--quality <0-51>', 'of the result; less is better, and larger', wholeNumber(0, 51), 23)
    .option('--force', 'write over files that are there')
    .option('--json', 'at the end one JSON object on stdout')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: ProcessOptions) => {
      process.exitCode = await runProcess(file, options);
    });
}

/** Returns the exit code. */
async function runProcess(file: string, options: ProcessOptions): Promise<number> {
  const screen = new Screen(process.stderr);
  const files: NewFile[] = [];
  let fileProcess: FileProcess | null = null;
  const removeFiles = (): void => {
    for (const one of files) one.remove();
  };
  const stop = new StopRequest(() => {
    fileProcess?.kill();
    removeFiles();
    process.exit(EXIT.interrupted);
  });
  try {
    const plan = await makePlan(resolve(file), options, files, screen, stop.signal);
    fileProcess = new FileProcess(plan);
    const report = await fileProcess.run(stop.signal);
    say(report, options.json === true);
    return EXIT.ok;
  } catch (error) {
    screen.clear();
    if (codeOf(error) !== 'CANCELLED') process.stderr.write(`${describeError(error)}\n`);
    return exitCodeOf(error);
  } finally {
    removeFiles();
    stop.close();
  }
}

function say(report: ProcessReport, json: boolean): void {
  process.stdout.write(`${json ? JSON.stringify(report) : reportLine(report)}\n`);
}

/** Everything that can be refused before the work begins. `files` gets what is to be removed at the end. */
async function makePlan(
  input: string,
  options: ProcessOptions,
  files: NewFile[],
  screen: Screen,
  signal: AbortSignal,
): Promise<ProcessPlan> {
  const { force = false, interval, draw, audio, codec, quality } = options;
  const container = containerOf(options.out);
  const [outPath, linesPath] = [resolve(options.out), options.detections === undefined ? null : resolve(options.detections)];
  refuseSame([input, outPath, ...(linesPath === null ? [] : [linesPath])]);
  const media = await inspectMediaFile(input);
  if (audio) refuseSound(media, input, outPath, container);
  const newFile = (path: string): NewFile => {
    const made = new NewFile(path, force);
    files.push(made);
    return made;
  };
  const out = newFile(outPath);
  const detections = linesPath === null ? null : newFile(linesPath);
  const model = options.model === NO_MODEL ? null : await modelOf(options.model, screen, signal);
  const stream = nameOf(input);
  return { input, media, out, container, detections, sound: audio, stream, model, codec, quality, draw, interval, screen };
}

function containerOf(path: string): Container {
  const container = CONTAINERS[extname(path).toLowerCase()];
  if (container !== undefined) return container;
  throw new FramebusError('USAGE', `--out ${path}: cannot be written in this format`, {
    remedy: `Let its name end in ${Object.keys(CONTAINERS).join(' or ')}.`,
  });
}

/** A file that is read must not be written. */
function refuseSame(paths: readonly string[]): void {
  const real = paths.map((path) => (existsSync(path) ? realpathSync(path) : path));
  const twice = paths.find((_path, index) => real.indexOf(real[index] ?? '') !== index);
  if (twice === undefined) return;
  throw new FramebusError('USAGE', `${twice}: is given twice`, { remedy: 'The input, --out and --detections must be different files.' });
}

function refuseSound({ sound }: MediaFile, input: string, out: string, container: Container): void {
  const unfit = sound.filter(({ containers }) => !containers.includes(container)).map(({ name }) => name);
  if (unfit.length === 0) return;
  throw new FramebusError('SOUND_UNSUPPORTED', `${basename(out)}: cannot hold the sound of ${input} (${unfit.join(', ')})`);
}

async function modelOf(name: string, screen: Screen, signal: AbortSignal): Promise<ProcessPlan['model']> {
  const manifest = findManifest(name);
  const startedAtMs = performance.now();
  await ensureModel(name, {
    cacheDirectory: cacheDirectory(null, process.cwd(), process.env),
    signal,
    onProgress: ({ phase, what }) => {
      screen.progress(`Model: ${phase} ${what}`, performance.now() - startedAtMs);
    },
  });
  return { directory: dirname(manifest.file), name: basename(manifest.file, extname(manifest.file)) };
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}
