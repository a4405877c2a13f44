import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { FrameLease } from '../../native/contract.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { Batcher, type Batchable } from './batcher.js';
import type { Executor } from './executor.js';
import type { FrameConsumer } from './frame_consumer.js';
import { noFindings } from './frame_findings.js';
import type { ModelMetrics } from './metrics.js';
import type { PulledMessage } from './pulled_message.js';
import type { Inferred, ResultPublisher } from './result_publisher.js';

/** A frame that this worker has leased and will answer for. */
export interface LeasedFrame extends Batchable {
  frame: FrameDescriptor;
  lease: FrameLease;
  /** CLOCK_MONOTONIC of the lease, in nanoseconds. */
  leasedNs: bigint;
  /** Acknowledged once the result is out; null when it was acknowledged on receipt. */
  message: Pick<PulledMessage, 'ack'> | null;
}

export interface ModelRunnerOptions {
  /** Most frames of a batch. */
  batchSize: number;
  maxAgeMs: number;
  /** Most frames that the worker may hold. */
  maxHeld: number;
  /** Index of a stream's thresholds among the executors' filters. */
  filterOf: (streamId: string) => number;
}

/** Where frames come from, executors and results, as far as the runner needs to know them. */
export interface ModelRunnerParts {
  consumers: readonly Pick<FrameConsumer, 'ready' | 'want' | 'coming' | 'close'>[];
  executors: readonly Pick<Executor, 'state' | 'takesNext' | 'remainingMs' | 'uncertaintyMs' | 'run' | 'close'>[];
  publisher: Pick<ResultPublisher, 'inferred' | 'failed' | 'revoked' | 'flushed'>;
  metrics: ModelMetrics;
  log: Log;
}

/**
 * New frames are asked for so long before an executor is expected to be idle, and
 * sooner where that is not certain: they are there when it is, and no older than
 * they must be.
 */
const LEAD_MS = 3;
const LEAD_UNCERTAINTIES = 2;
const LONGEST_LEAD_MS = 30;
const DRAIN_POLL_MS = 5;

type RunnerExecutor = ModelRunnerParts['executors'][number];

const leadMs = ({ uncertaintyMs }: RunnerExecutor): number =>
  Math.min(LONGEST_LEAD_MS, LEAD_MS + LEAD_UNCERTAINTIES * uncertaintyMs);

/** One model at work: asks for frames as executors become free, batches them, publishes what was seen. */
export class ModelRunner {
  readonly #options: ModelRunnerOptions;
  readonly #parts: ModelRunnerParts;
  readonly #batcher: Batcher<LeasedFrame>;
  /** Frames whose pool is being attached. */
  #attaching = 0;
  /** Frames in batches that run. */
  #running = 0;
  #wake: NodeJS.Timeout | null = null;
  #closing = false;

  constructor(options: ModelRunnerOptions, parts: ModelRunnerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#batcher = new Batcher({ size: options.batchSize, maxAgeMs: options.maxAgeMs }, () => performance.now());
  }

  /** null when frames can be taken, else why not. */
  ready(): string | null {
    if (!this.#anyExecutor()) return 'no executor runs';
    return this.#parts.consumers.every(({ ready }) => ready) ? null : 'the frame consumer is not there yet';
  }

  /** A frame was received whose pool has to be attached first. */
  attaching(change: 1 | -1): void {
    this.#attaching += change;
  }

  add(frame: LeasedFrame): void {
    this.#parts.metrics.taken(frame.streamId);
    if (this.#closing) {
      void this.#fail([frame], 'the service is stopping');
      return;
    }
    this.#batcher.add(frame);
    this.pump();
  }

  /** Starts what can be started and asks for what could be started next; called whenever something has changed. */
  pump(): void {
    for (const executor of this.#parts.executors) {
      if (executor.state !== 'idle') continue;
      const batch = this.#batcher.take(this.#closing ? 0 : this.#coming());
      if (batch === null) break;
      void this.#run(executor, batch);
    }
    this.#runAhead();
    if (!this.#closing) this.#ask();
    this.#scheduleWake();
  }

  /**
   * A full batch gains nothing by waiting here: it goes to the executor that is
   * done first, whose engine then goes on with it at once.
   */
  #runAhead(): void {
    while (this.#batcher.full) {
      const [executor] = this.#parts.executors
        .filter((one) => one.takesNext && this.#isSoonIdle(one))
        .toSorted((a, b) => (a.remainingMs() ?? 0) - (b.remainingMs() ?? 0));
      const batch = executor === undefined ? null : this.#batcher.take(0);
      if (executor === undefined || batch === null) return;
      void this.#run(executor, batch);
    }
  }

  /** Finishes the frames that it has. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const consumer of this.#parts.consumers) consumer.close();
    this.pump();
    while (this.#running > 0 || (this.#batcher.length > 0 && this.#anyExecutor())) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
    if (this.#wake !== null) clearTimeout(this.#wake);
    await this.#fail(this.#batcher.clear(), 'the service is stopping');
    await Promise.all(this.#parts.executors.map((executor) => executor.close()));
  }

  #anyExecutor(): boolean {
    return this.#parts.executors.some(({ state }) => state === 'idle' || state === 'busy');
  }

  #coming(): number {
    return this.#parts.consumers.reduce((sum, consumer) => sum + consumer.coming(), this.#attaching);
  }

  /** Each consumer may fill what is free: with two of them, at most one batch too many waits here. */
  #ask(): void {
    const free = this.#capacity() - this.#batcher.length - this.#attaching;
    const unheld = this.#options.maxHeld - this.#batcher.length - this.#attaching - this.#running;
    const count = Math.max(0, Math.min(free, unheld));
    for (const consumer of this.#parts.consumers) consumer.want(count);
  }

  /** Frames that could be started now or in a moment. */
  #capacity(): number {
    return this.#parts.executors.filter((executor) => this.#isSoonIdle(executor)).length * this.#options.batchSize;
  }

  #isSoonIdle(executor: RunnerExecutor): boolean {
    const remainingMs = executor.remainingMs();
    return remainingMs !== null && remainingMs <= leadMs(executor);
  }

  /** Wakes when the oldest frame is due, or an executor will soon be idle. */
  #scheduleWake(): void {
    if (this.#wake !== null) clearTimeout(this.#wake);
    const times = this.#parts.executors
      .map((executor) => (executor.remainingMs() ?? 0) - leadMs(executor))
      .filter((ms) => ms > 0);
    const dueMs = this.#batcher.dueInMs();
    if (dueMs !== null && dueMs > 0) times.push(dueMs);
    this.#wake = times.length === 0 ? null : setTimeout(() => this.pump(), Math.max(1, Math.min(...times)));
  }

  async #run(executor: RunnerExecutor, batch: LeasedFrame[]): Promise<void> {
    this.#running += batch.length;
    try {
      const result = await executor.run(
        batch.map(({ lease, frame }) => ({
          leaseId: lease.id,
          width: lease.format.width,
          height: lease.format.height,
          region: null,
          filter: this.#options.filterOf(frame.streamId),
        })),
      );
      this.#parts.metrics.batch(batch, result.times);
      for (const [index, leased] of batch.entries()) {
        const seen = { rows: result.rows[index] ?? new Float32Array(0), findings: result.findings[index] ?? noFindings() };
        this.#publish(leased, seen, result.times, batch.length);
      }
      this.pump();
      await this.#letGo(batch);
    } catch (error) {
      this.#parts.log.error({ err: error, frames: batch.length }, 'a batch failed');
      await this.#fail(batch, messageOf(error));
    } finally {
      this.#running -= batch.length;
      this.pump();
    }
  }

  #publish(
    { frame, lease, leasedNs }: LeasedFrame,
    seen: Pick<Inferred, 'rows' | 'findings'>,
    times: Inferred['times'],
    batchSize: number,
  ): void {
    // A revoked lease means that ingest has answered for the frame, and its pixels may have changed.
    if (lease.valid()) this.#parts.publisher.inferred({ frame, ...seen, leasedNs, times, batchSize });
    else this.#parts.publisher.revoked(frame);
  }

  #fail(frames: readonly LeasedFrame[], reason: string): Promise<void> {
    for (const { frame } of frames) this.#parts.publisher.failed(frame, reason);
    return this.#letGo(frames);
  }

  /**
   * Ends the leases once the results have left this process: should it die
   * before, ingest sees frames that are still held and hands them on.
   */
  async #letGo(frames: readonly LeasedFrame[]): Promise<void> {
    await this.#parts.publisher.flushed();
    for (const { streamId, lease, message } of frames) {
      lease.release();
      message?.ack();
      this.#parts.metrics.letGo(streamId);
    }
  }
}
