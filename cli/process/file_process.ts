import { StreamState } from '#proto/framebus/status/v1/status.js';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { codeOf, FramebusError } from '../../lib/errors.js';
import { decodeRecord } from '../../lib/messages.js';
import type { ServiceKind } from '../../lib/service.js';
import * as subjects from '../../lib/subjects.js';
import { joinFile, type Container, type MediaFile } from '../../native/index.js';
import type { StreamRow } from '../fleet/board.js';
import { PrivateFleet } from '../fleet/private_fleet.js';
import type { Screen } from '../demo/screen.js';
import { processConfiguration } from './configuration.js';
import { unwritable, type NewFile } from './new_file.js';
import { progressLine } from './progress_line.js';
import { readRecorded, type RecordedFile } from './recorded_file.js';
import type { ProcessReport } from './report.js';

const TICK_MS = 200;
/** Nothing has moved for so long: what is missing will not come any more. */
const STUCK_MS = 60_000;
/** What services say is shown so often at most. */
const MOST_WARNINGS = 20;
/** Of drops, those after which a frame is not in the result. */
const LOST = ['pool_exhausted', 'late', 'duplicate', 'stale', 'encoder_full', 'encoder_failed'];
/** Of drops, those after which nobody has looked at a frame, although somebody should have. */
const UNSEEN = ['overloaded', 'superseded', 'expired', 'worker_lost', 'failed'];

/** What is to be done with which file. */
export interface ProcessPlan {
  /** Absolute. */
  input: string;
  media: MediaFile;
  out: NewFile;
  container: Container;
  /** null: no lines. */
  detections: NewFile | null;
  sound: boolean;
  stream: string;
  model: { directory: string; name: string } | null;
  codec: 'h264' | 'h265';
  quality: number;
  draw: boolean;
  interval: number;
  screen: Screen;
}

/** What a service said, as it stands in its log. */
interface LogLine {
  msg?: string;
  code?: string;
  cause?: string;
  err?: { message?: string };
}

/** A file that goes through all services, frame by frame, into another file. */
export class FileProcess {
  readonly #plan: ProcessPlan;
  readonly #fleet: PrivateFleet;
  readonly #recordings: string;
  readonly #warnings: string[] = [];
  readonly #startedAtMs = performance.now();
  /** The recording can go on no more. */
  #failure: FramebusError | null = null;
  /** What services say while they end is of no use. */
  #isEnding = false;
  #firstAtMs: number | null = null;
  #lastAtMs = 0;
  /** The latest record, as it came. */
  #latest: Uint8Array | null = null;

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
    this.#recordings = join(plan.out.directory, 'recordings');
    this.#fleet = new PrivateFleet({
      name: 'process',
      natsUrl: null,
      configuration: (place) =>
        Promise.resolve(
          processConfiguration({ ...plan, ...place, recordings: this.#recordings, source: pathToFileURL(plan.input).href }),
        ),
      onLine: (kind, line) => {
        this.#hear(kind, line);
      },
    });
  }

  /** Leaves both files under their names, or throws: SOURCE_…, FILE_…, FRAMES_MISSING, SERVICE_FAILED, CANCELLED …. */
  async run(signal: AbortSignal): Promise<ProcessReport> {
    const { media, out, detections } = this.#plan;
    const row = await this.#work(signal);
    this.#warnOfUnseen(row);
    this.#progress('Reading what was recorded');
    const fromNs = media.picturesAtNs - media.beginsAtNs;
    const folder = join(this.#recordings, this.#plan.stream);
    const recorded = await readRecorded(folder, fromNs, detections?.draft ?? null);
    if (recorded.timesNs.length !== row.framesDecoded) throw this.#missing(recorded.timesNs.length, row);
    this.#progress(`Writing ${out.path}`);
    await this.#join(recorded, signal);
    out.publish();
    detections?.publish();
    this.#plan.screen.clear();
    return this.#report(recorded);
  }

  /** Ends everything without asking. */
  kill(): void {
    this.#fleet.kill();
  }

  /** The services' part: from the file to recorded pictures. */
  async #work(signal: AbortSignal): Promise<StreamRow> {
    const { stream, input } = this.#plan;
    try {
      this.#progress('Starting NATS');
      await this.#fleet.start(signal);
      this.#fleet.nats?.subscribe(subjects.detections(stream), {
        callback: (_error, message) => {
          this.#latest = message.data;
        },
      });
      const row = await this.#untilDone(signal);
      if (row.framesDecoded === 0) throw new FramebusError('SOURCE_BROKEN', `${input}: no picture could be decoded`);
      return row;
    } finally {
      this.#isEnding = true;
      await this.#fleet.stop();
    }
  }

  async #untilDone(signal: AbortSignal): Promise<StreamRow> {
    let movedAtMs = performance.now();
    let moved = '';
    for (;;) {
      if (signal.aborted) throw new FramebusError('CANCELLED', 'process: ended before the file was done');
      if (this.#failure !== null) throw this.#failure;
      this.#fleet.check();
      const row = this.#row();
      if (row.state === StreamState.STREAM_STATE_FAILED) throw new FramebusError('SOURCE_FAILED', row.reason);
      if (row.state === StreamState.STREAM_STATE_ENDED && row.framesSent === row.framesDecoded) return row;
      if (lost(row) > 0) throw this.#missing(row.framesDecoded - lost(row), row);
      this.#show(row);
      const now = `${row.state} ${row.framesDecoded} ${row.framesInferred} ${row.framesSent}`;
      if (now !== moved) movedAtMs = performance.now();
      moved = now;
      if (performance.now() - movedAtMs > STUCK_MS) throw this.#missing(row.framesSent, row);
      await sleep(TICK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #row(): StreamRow {
    const [row] = this.#fleet.board.rows([this.#plan.stream]);
    if (row === undefined) throw new Error('the board has no row of the stream');
    return row;
  }

  #show(row: StreamRow): void {
    if (row.framesSent === 0) {
      const starting = (['ingest', 'infer', 'sink'] as const).filter((kind) => !this.#fleet.board.isRunning(kind));
      this.#progress(starting.length > 0 ? `Starting ${starting.join(', ')}` : 'Waiting for the first picture');
      return;
    }
    this.#lastAtMs = performance.now();
    this.#firstAtMs ??= this.#lastAtMs;
    const elapsedMs = this.#lastAtMs - this.#firstAtMs;
    this.#plan.screen.table([progressLine({ frames: row.framesSent, part: this.#part(), fps: row.rates.sent, elapsedMs })]);
  }

  /** By the time of the latest picture. */
  #part(): number | null {
    const { durationNs } = this.#plan.media;
    if (durationNs === null || this.#latest === null) return null;
    return Number(decodeRecord(this.#latest).ptsNs) / Number(durationNs);
  }

  async #join({ videos, timesNs }: RecordedFile, signal: AbortSignal): Promise<void> {
    const { media, input, out, container, sound } = this.#plan;
    const { frameRateNumerator, frameRateDenominator } = media;
    const join = joinFile({
      recorded: videos,
      timesNs: BigUint64Array.from(timesNs),
      sound: input,
      soundTracks: sound ? media.sound.length : 0,
      soundFromNs: media.beginsAtNs,
      frameRateNumerator,
      frameRateDenominator,
      container,
      file: out.draft,
    });
    const cancel = (): void => {
      join.cancel();
    };
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    try {
      await join.finished;
    } catch (error) {
      if (codeOf(error) === 'FILE_UNWRITABLE') throw unwritable(out.path, error);
      throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  #hear(kind: ServiceKind, line: string): void {
    const said = parsed(line);
    if (said?.code === 'RECORDING_FAILED') {
      // It tries again by itself, but what is missing stays missing.
      this.#failure ??= new FramebusError('FILE_UNWRITABLE', `${this.#plan.out.path}: ${said.cause ?? 'cannot be written'}`, {
        remedy: 'Make room, or choose a folder on a disk that has some: on the way twice the size of the result is needed.',
      });
      return;
    }
    if (this.#isEnding) return;
    const text = said === null ? line : [said.msg, said.cause ?? said.err?.message].filter((part) => part !== undefined).join(': ');
    this.#warn(`${kind}: ${text}`);
  }

  #warn(text: string): void {
    if (this.#warnings.length >= MOST_WARNINGS) return;
    this.#warnings.push(text);
    this.#plan.screen.print(text);
  }

  #warnOfUnseen({ drops }: StreamRow): void {
    const unseen = UNSEEN.flatMap((reason) => (drops.has(reason) ? [`${reason} ${drops.get(reason) ?? 0}`] : []));
    if (unseen.length > 0) this.#warn(`frames that no model has looked at: ${unseen.join(', ')}`);
  }

  #missing(got: number, row: StreamRow): FramebusError {
    const drops = [...row.drops].map(([reason, count]) => `${reason} ${count}`).join(', ');
    const why = drops === '' ? '' : ` (${drops})`;
    return new FramebusError('FRAMES_MISSING', `${this.#plan.input}: ${got} of ${row.framesDecoded} frames came out${why}`);
  }

  #report({ timesNs, detections }: RecordedFile): ProcessReport {
    const { input, out, detections: lines, media, sound } = this.#plan;
    const framesSeconds = (this.#lastAtMs - (this.#firstAtMs ?? this.#lastAtMs)) / 1_000;
    const frames = timesNs.length;
    return {
      input,
      out: out.path,
      detections_file: lines?.path ?? null,
      width: media.width,
      height: media.height,
      frames,
      detections,
      sound: sound ? media.sound.map(({ name }) => name) : [],
      media_seconds: Number((timesNs.at(-1) ?? 0n) - (timesNs[0] ?? 0n)) / 1e9,
      seconds: (performance.now() - this.#startedAtMs) / 1_000,
      frames_seconds: framesSeconds,
      fps: framesSeconds > 0 ? frames / framesSeconds : 0,
      warnings: this.#warnings,
    };
  }

  #progress(text: string): void {
    this.#plan.screen.progress(text, performance.now() - this.#startedAtMs);
  }
}

/** Frames that will not come out. */
function lost({ drops }: StreamRow): number {
  return LOST.reduce((sum, reason) => sum + (drops.get(reason) ?? 0), 0);
}

/** null: not a line of our logs. */
function parsed(line: string): LogLine | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}
