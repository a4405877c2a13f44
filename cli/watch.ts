import type { ServiceError } from '@grpc/grpc-js';
import { InvalidArgumentError, type Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DetectionServiceClient,
  type SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { describeError, EXIT, type FramebusError } from '../lib/errors.js';
import { addressOption, callError, openClient } from './client.js';
import { recordLine } from './watch/record_line.js';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5_000;

interface WatchOptions {
  address: string;
  class?: string[];
  minConfidence: number;
  all?: true;
  count?: number;
  json?: true;
}

/** Adds `framebus watch`. */
export function registerWatch(program: Command): void {
  program
    .command('watch')
    .description('Print what is seen, a line a frame, until Ctrl-C; connects again by itself')
    .argument('[streams...]', 'names of streams; none means all')
    .addOption(addressOption())
    .option('--class <label>', 'only this class; may be given again', collect)
    .option('--min-confidence <0-1>', 'leave out what is less certain', confidence, 0)
    .option('--all', 'also frames in which nothing is seen')
    .option('-n, --count <n>', 'end after so many records', count)
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  framebus watch\n  framebus watch gate --class person --min-confidence 0.5\n  framebus watch --json | jq .detections',
    )
    .action((streams: string[], options: WatchOptions) => watch(streams, options));
}

/** Prints records until enough have come, or the process is told to end. */
async function watch(streamIds: string[], options: WatchOptions): Promise<void> {
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
  };
  process.once('SIGINT', end).once('SIGTERM', end);
  const isStopped = (): boolean => stop.signal.aborted;
  const request: SubscribeRequest = {
    streamIds,
    labels: options.class ?? [],
    minConfidence: options.minConfidence,
    onlyWithDetections: options.all !== true,
    tensors: false,
  };
  const printer = new Printer(options, end);
  const client = openClient(DetectionServiceClient, options.address);
  try {
    for (let waitMs = FIRST_RETRY_MS; !isStopped(); waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      const before = printer.printed;
      const error = await subscribe(client, request, options.address, stop.signal, (response) => {
        printer.print(response);
      });
      if (isStopped()) break;
      if (error !== undefined && error.code !== 'SERVICE_UNREACHABLE' && error.code !== 'SHUTTING_DOWN') throw error;
      if (printer.printed > before) waitMs = FIRST_RETRY_MS;
      const why = error === undefined ? `sink at ${options.address}: ended the subscription` : describeError(error);
      process.stderr.write(`${why}\n  Trying again in ${waitMs / 1_000} s.\n`);
      await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    client.close();
  }
  process.exitCode = EXIT.ok;
}

/** One subscription, to its end; resolves to the error that ended it. */
function subscribe(
  client: DetectionServiceClient,
  request: SubscribeRequest,
  address: string,
  signal: AbortSignal,
  onResponse: (response: SubscribeResponse) => void,
): Promise<FramebusError | undefined> {
  return new Promise((resolve) => {
    const call = client.subscribe(request);
    const cancel = (): void => {
      call.cancel();
    };
    signal.addEventListener('abort', cancel, { once: true });
    const done = (error?: FramebusError): void => {
      signal.removeEventListener('abort', cancel);
      resolve(error);
    };
    call.on('data', onResponse);
    call.on('error', (error: ServiceError) => {
      done(callError(error, address));
    });
    call.on('end', () => {
      done();
    });
  });
}

/** Writes records to stdout and counts them. */
class Printer {
  printed = 0;
  readonly #json: boolean;
  readonly #count: number;
  readonly #onEnough: () => void;

  constructor(options: WatchOptions, onEnough: () => void) {
    this.#json = options.json === true;
    this.#count = options.count ?? Number.POSITIVE_INFINITY;
    this.#onEnough = onEnough;
  }

  print({ record, dropped }: SubscribeResponse): void {
    if (dropped > 0n) process.stderr.write(`${dropped} records were dropped: this terminal reads too slowly\n`);
    if (record === undefined || this.printed >= this.#count) return;
    const line = this.#json ? JSON.stringify(DetectionRecord.toJSON(record)) : recordLine(record);
    process.stdout.write(`${line}\n`);
    this.printed += 1;
    if (this.printed >= this.#count) this.#onEnough();
  }
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function confidence(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('Give a number from 0 to 1.');
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Give a whole number from 1.');
}
