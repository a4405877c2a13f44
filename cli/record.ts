import { Metadata, type CallOptions, type ServiceError } from '@grpc/grpc-js';
import { InvalidArgumentError, Option, type Command } from 'commander';
import {
  RecordingServiceClient,
  type StartRecordingRequest,
  type StartRecordingResponse,
  type StopRecordingRequest,
  type StopRecordingResponse,
} from '#proto/framebus/recording/v1/recording_service.js';
import { formatDuration, parseDuration } from '../lib/config/duration.js';
import { addressOption, callError, openClient } from './client.js';

/** Longer than sink waits for the disk. */
const DEADLINE_MS = 20_000;
const MOST_MS = 2 ** 32 - 1;

interface RecordOptions {
  address: string;
  for?: number;
  preRoll?: number;
  event?: string;
  reason?: string;
  stop?: string;
}

/** Adds `framebus record`. */
export function registerRecord(program: Command): void {
  program
    .command('record')
    .description('Record an event of a stream, from some seconds ago on; prints the file and returns at once')
    .argument('<stream>', 'name of the stream')
    .addOption(addressOption())
    .option('--for <duration>', 'length of the event, its pre- and post-roll aside; otherwise until --stop', milliseconds)
    .option('--pre-roll <duration>', 'begin so long ago; at most, and otherwise, events.pre_roll', milliseconds)
    .option('--event <name>', 'name of the event; sink gives it one otherwise')
    .option('--reason <text>', 'for the .json file beside the video')
    .addOption(new Option('--stop <event>', 'end an event').conflicts(['for', 'preRoll', 'event', 'reason']))
    .addHelpText('after', '\nExamples:\n  framebus record gate --for 30s\n  framebus record gate --event door --reason "door opened"\n  framebus record gate --stop door')
    .action(async (streamId: string, { address, stop, ...options }: RecordOptions) => {
      const text =
        stop === undefined
          ? started(await startRecording(address, { streamId, ...request(options) }))
          : stopped(await stopRecording(address, { streamId, event: stop }));
      process.stdout.write(text);
    });
}

function milliseconds(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && Number.isInteger(ms) && ms <= MOST_MS) return ms;
  throw new InvalidArgumentError('Give a duration such as 30s or 5m.');
}

function request(options: Omit<RecordOptions, 'address' | 'stop'>): Omit<StartRecordingRequest, 'streamId'> {
  const { event = '', reason = '', preRoll, for: durationMs = 0 } = options;
  return { event, reason, preRollMs: preRoll, durationMs };
}

function started({ event, file, preRollMs, endsUnixNs }: StartRecordingResponse): string {
  return `${file}: event ${event}, begins ${formatDuration(preRollMs)} before it, until ${timeText(endsUnixNs)} at the latest\n`;
}

function stopped({ event, files, endsUnixNs }: StopRecordingResponse): string {
  return `${files.join(' ')}: event ${event?.event ?? ''} has ended, the recording at ${timeText(endsUnixNs)}\n`;
}

const timeText = (unixNs: bigint): string => new Date(Number(unixNs / 1_000_000n)).toISOString();

const startRecording = (address: string, message: StartRecordingRequest): Promise<StartRecordingResponse> =>
  ask(address, (client, options, done) => client.startRecording(message, new Metadata(), options, done));

const stopRecording = (address: string, message: StopRecordingRequest): Promise<StopRecordingResponse> =>
  ask(address, (client, options, done) => client.stopRecording(message, new Metadata(), options, done));

type Send<T> = (client: RecordingServiceClient, options: CallOptions, done: (error: ServiceError | null, response: T) => void) => void;

/** Asks sink; throws what it says, and SERVICE_UNREACHABLE, SERVICE_FAILED. */
function ask<T>(address: string, send: Send<T>): Promise<T> {
  const client = openClient(RecordingServiceClient, address);
  return new Promise<T>((resolve, reject) => {
    send(client, { deadline: Date.now() + DEADLINE_MS }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address));
    });
  }).finally(() => {
    client.close();
  });
}
