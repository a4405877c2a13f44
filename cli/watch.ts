import type { ServiceError } from '@grpc/grpc-js';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DetectionServiceClient,
  SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { MissedReason, type MissedRecords } from '#proto/framebus/detection/v1/missed_records.js';
import { describeError, EXIT, FramebusError } from '../lib/errors.js';
import { addressOption, callError, openClient } from './client.js';
import { CursorFile } from './watch/cursor_file.js';
import { LatencyTable } from './watch/latency_table.js';
import { recordLine } from './watch/record_line.js';
import { startTime } from './watch/start_time.js';
import { collectTrackId } from './watch/track_id.js';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5_000;
const LATENCY_PAUSE_MS = 5_000;
/** What ends by itself when the services are back. */
const MAY_PASS: ReadonlySet<string> = new Set(['SERVICE_UNREACHABLE', 'SHUTTING_DOWN', 'RECORDS_UNAVAILABLE']);

interface WatchOptions {
  address: string;
  class?: string[];
  track?: bigint[];
  minConfidence: number;
  all?: true;
  count?: number;
  json?: true;
  latency?: true;
  since?: bigint;
  fromStart?: true;
  resume?: string;
}

/** Adds `framebus watch`. */
export function registerWatch(program: Command): void {
  program
    .command('watch')
    .description('Print what is seen, a line a frame, until Ctrl-C; connects again by itself')
    .argument('[streams...]', 'names of streams; none means all')
    .addOption(addressOption())
    .option('--class <label>', 'only this class; may be given again', collect)
    .option('--track <id>', 'only this track, and its end; may be given again', collectTrackId)
    .option('--min-confidence <0-1>', 'leave out what is less certain', confidence, 0)
    .option('--all', 'also frames in which nothing is seen')
    .option('-n, --count <n>', 'end after so many records', count)
    .option('--json', 'one JSON object a line')
    .addOption(new Option('--latency', 'instead of records, where the time of all frames of the last 10 s went, every 5 s').conflicts('json'))
    .addOption(new Option('--since <time>', 'start with what was stored then: 10m ago, or a time such as 2025-03-01T12:00:00Z').argParser((text: string) => startTime(text)).conflicts('fromStart'))
    .option('--from-start', 'start with the oldest record that is stored')
    .option('--resume <file>', 'keep the place in a file, and go on there the next time: no record is missed')
    .addHelpText(
      'after',
      '\nExamples:\n  framebus watch\n  framebus watch gate --class person --min-confidence 0.5\n  framebus watch --json | jq .detections\n  framebus watch --since 10m\n  framebus watch gate --latency\n  framebus watch --json --resume place.txt >> records.jsonl',
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
  const place = new Place(streamIds, options);
  const printer = new Printer(options, end, (cursor) => {
    place.passed(cursor);
  });
  const client = openClient(DetectionServiceClient, options.address);
  try {
    for (let waitMs = FIRST_RETRY_MS; !isStopped(); waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      const before = printer.printed;
      const error = await subscribe(client, place.request(), options.address, stop.signal, (response) => {
        printer.print(response);
      });
      if (isStopped()) break;
      if (error !== undefined && !MAY_PASS.has(error.code)) throw place.explained(error);
      if (printer.printed > before) waitMs = FIRST_RETRY_MS;
      const why = error === undefined ? `sink at ${options.address}: ended the subscription` : describeError(error);
      process.stderr.write(`${why}\n  Trying again in ${waitMs / 1_000} s.\n`);
      await sleep(waitMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  } finally {
    client.close();
    printer.close();
    await new Promise((resolve) => process.stdout.write('', resolve));
    place.save();
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

/** Where the next subscription starts. */
class Place {
  readonly #streamIds: string[];
  readonly #options: WatchOptions;
  readonly #file: CursorFile | null;
  #cursor: string;

  constructor(streamIds: string[], options: WatchOptions) {
    this.#streamIds = streamIds;
    this.#options = options;
    this.#file = options.resume === undefined ? null : new CursorFile(options.resume);
    this.#cursor = this.#file?.cursor ?? '';
  }

  request(): SubscribeRequest {
    const { class: labels, track, minConfidence, all, latency, since, fromStart } = this.#options;
    const isNew = this.#cursor === '';
    return SubscribeRequest.fromPartial({
      streamIds: this.#streamIds,
      labels: labels ?? [],
      trackIds: track ?? [],
      minConfidence,
      onlyWithDetections: all !== true && latency !== true,
      resumeAfter: this.#cursor,
      sinceUnixNs: isNew ? (since ?? 0n) : 0n,
      fromBeginning: isNew && fromStart === true,
      everyRecord: this.#file !== null,
      skipExpired: !isNew,
    });
  }

  /** Everything up to the cursor has been printed. */
  passed(cursor: string): void {
    // Who only looks on wants what is new, also when the connection was lost.
    const { since, fromStart } = this.#options;
    if (cursor === '' || (this.#file === null && since === undefined && fromStart !== true)) return;
    this.#cursor = cursor;
    this.#file?.set(cursor);
  }

  explained(error: FramebusError): FramebusError {
    const { resume } = this.#options;
    if (resume === undefined || !error.code.startsWith('CURSOR_')) return error;
    return new FramebusError(error.code, `${resume}: ${error.message}`, { cause: error, remedy: 'Remove the file to start anew.' });
  }

  save(): void {
    this.#file?.save();
  }
}

const MISSED: Readonly<Record<MissedReason, string>> = {
  [MissedReason.MISSED_REASON_UNSPECIFIED]: 'are missing',
  [MissedReason.MISSED_REASON_SLOW_READER]: 'were dropped: this terminal reads too slowly',
  [MissedReason.MISSED_REASON_EXPIRED]: 'are stored no longer',
  [MissedReason.MISSED_REASON_NOT_STORED]: 'could not be stored; the log of sink says why',
};

/** Writes records to stdout and counts them. */
class Printer {
  printed = 0;
  readonly #json: boolean;
  /** Printed instead of the records; null: they are. */
  readonly #latency: LatencyTable | null;
  readonly #latencyTimer: NodeJS.Timeout | null;
  readonly #count: number;
  readonly #onEnough: () => void;
  readonly #onPassed: (cursor: string) => void;

  constructor(options: WatchOptions, onEnough: () => void, onPassed: (cursor: string) => void) {
    this.#json = options.json === true;
    const isLive = options.since === undefined && options.fromStart !== true && options.resume === undefined;
    this.#latency = options.latency === true ? new LatencyTable(isLive, () => performance.now(), () => Date.now()) : null;
    this.#latencyTimer = this.#latency && setInterval(() => this.#printLatency(), LATENCY_PAUSE_MS);
    this.#count = options.count ?? Number.POSITIVE_INFINITY;
    this.#onEnough = onEnough;
    this.#onPassed = onPassed;
  }

  print({ record, cursor, missed }: SubscribeResponse): void {
    if (this.printed >= this.#count) return;
    for (const { count, reason } of missed as readonly MissedRecords[]) {
      process.stderr.write(`${count} records ${MISSED[reason]}\n`);
    }
    // An empty write keeps the order: what comes before it is out when it is.
    process.stdout.write(record === undefined ? '' : this.#text(record), (error) => {
      if (!error) this.#onPassed(cursor);
    });
    if (record === undefined) return;
    this.printed += 1;
    if (this.printed >= this.#count) this.#onEnough();
  }

  /** Prints what is left to be said. */
  close(): void {
    if (this.#latencyTimer === null) return;
    clearInterval(this.#latencyTimer);
    if (this.printed > 0) this.#printLatency();
  }

  #text(record: DetectionRecord): string {
    if (this.#latency === null) return `${this.#json ? JSON.stringify(DetectionRecord.toJSON(record)) : recordLine(record)}\n`;
    this.#latency.add(record);
    return '';
  }

  #printLatency(): void {
    process.stdout.write(`${this.#latency?.text() ?? ''}\n\n`);
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
