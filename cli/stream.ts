import type { Command } from 'commander';
import type { StreamInfo } from '#proto/framebus/stream/v1/stream_service.js';
import { serviceAddress, serviceOptions } from './client.js';
import { streamJson, streamReport, streamTable } from './stream/report.js';
import {
  askedSettings,
  namesThresholds,
  parseConfidence,
  parseInterval,
  parseLabels,
  parseRegion,
  parseThreshold,
  type SetOptions,
} from './stream/set_options.js';
import { getStream, listStreams, resetStream, updateStream } from './stream/stream_calls.js';

interface AskOptions {
  address?: string;
  config?: string;
  json?: true;
}

/** Longer than a change takes that needs no model. */
const PATIENCE_MS = 1_500;

const SET_EXAMPLES = `
Examples:
  framebus stream set gate --model yolox-nano-416 --interval 2
  framebus stream set gate --labels person,car --min-confidence 0.4 --threshold person=0.5
  framebus stream set gate --region 0.5,0,0.5,1        the right half of the frame
  framebus stream set gate --no-region --no-labels --model none`;

/** Adds `framebus stream ls|show|set|reset`. */
export function registerStream(program: Command): void {
  const stream = program
    .command('stream')
    .description('Show and change streams while they run')
    .addHelpText('after', '\nExamples:\n  framebus stream ls\n  framebus stream set gate --interval 2\n  framebus stream reset gate');
  asking(stream.command('ls').description('The settings of all streams'))
    .addHelpText('after', '\nExamples:\n  framebus stream ls\n  framebus stream ls --json | jq .[].settings.model')
    .action(async (options: AskOptions) => {
      const streams = await listStreams(addressOf(options));
      print(options.json === true ? toText(streams.map(streamJson)) : streamTable(streams));
    });
  asking(stream.command('show').description('The settings of one stream').argument('<stream>', 'name of the stream'))
    .addHelpText('after', '\nExamples:\n  framebus stream show gate')
    .action(async (streamId: string, options: AskOptions) => {
      printStream(await getStream(addressOf(options), streamId), options);
    });
  registerSet(stream);
  asking(stream.command('reset').description('Take back what was changed: the configuration counts again').argument('<stream>', 'name of the stream'))
    .addHelpText('after', '\nExamples:\n  framebus stream reset gate')
    .action(async (streamId: string, options: AskOptions) => {
      printStream(await patiently(resetStream(addressOf(options), streamId), streamId), options);
    });
}

function registerSet(stream: Command): void {
  asking(stream.command('set').description('Change settings of a stream; returns when they hold').argument('<stream>', 'name of the stream'))
    .option('-m, --model <name>', 'model that looks at it; "none": nobody does')
    .option('-i, --interval <n>', 'frames to leave out after each one that is looked at', parseInterval)
    .option('-l, --labels <names>', 'labels to keep, separated by commas', parseLabels)
    .option('--no-labels', 'keep all labels')
    .option('--min-confidence <0-1>', 'lowest confidence to keep', parseConfidence)
    .option('--no-min-confidence', 'leave it to the model')
    .option('-t, --threshold <label=0-1>', 'lowest confidence of one label; may be given again; "label=none" takes it back', parseThreshold)
    .option('--no-thresholds', 'no label has one of its own')
    .option('-r, --region <x,y,w,h>', 'what the network is shown, in fractions of the frame', parseRegion)
    .option('--no-region', 'show it the whole frame')
    .addHelpText('after', SET_EXAMPLES)
    .action(async (streamId: string, options: AskOptions & SetOptions) => {
      const address = addressOf(options);
      // Thresholds that are not named stay, so what is read must still be so when it is written.
      const current = namesThresholds(options) ? await getStream(address, streamId) : null;
      const { settings, fields: updateMask } = askedSettings(options, current?.settings?.thresholds ?? {});
      const change = updateStream(address, { streamId, settings, updateMask, revision: current?.revision ?? 0n });
      printStream(await patiently(change, streamId), options);
    });
}

function asking(command: Command): Command {
  for (const option of serviceOptions('ingest')) command.addOption(option);
  return command.option('--json', 'as JSON');
}

const addressOf = (options: AskOptions): string => serviceAddress('ingest', options);

/** Says on a terminal what a change waits for. */
async function patiently<T>(change: Promise<T>, streamId: string): Promise<T> {
  const timer = setTimeout(() => {
    if (process.stderr.isTTY) process.stderr.write(`${streamId}: waiting until a worker has the model; until then all is as before\n`);
  }, PATIENCE_MS);
  try {
    return await change;
  } finally {
    clearTimeout(timer);
  }
}

function printStream(stream: StreamInfo, { json }: AskOptions): void {
  print(json === true ? toText(streamJson(stream)) : streamReport(stream));
}

const toText = (value: unknown): string => JSON.stringify(value, null, 2);

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
