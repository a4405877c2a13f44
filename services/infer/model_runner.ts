import { FramebusError, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { ModelManifest } from '../../models/manifest.js';
import { Batcher } from './batcher.js';
import type { Executor, ExecutorResult } from './executor.js';
import type { FrameConsumer } from './frame_consumer.js';
import { noFindings } from './frame_findings.js';
import type { ModelMetrics } from './metrics.js';
import type { InputTensorData, OutputTensorData } from './tensor_inference.js';
import { TensorQueue } from './tensor_queue.js';
import type { Work } from './work.js';

export interface ModelRunnerOptions {
  maxAgeMs: number;
  /** Most frames that the worker may hold. */
  maxHeld: number;
  /** `bus.lease_deadline`; 0: leases have none. */
  leaseDeadlineMs: number;
}

/** A loaded model, see `Generation`. */
export interface Crew {
  readonly manifest: ModelManifest;
  readonly executors: readonly Pick<Executor, 'state' | 'takesNext' | 'remainingMs' | 'uncertaintyMs' | 'batchMs' | 'run' | 'runTensors'>[];
  /** Most frames of a batch. */
  readonly batchSize: number;
  /** Number of a stream's thresholds for the executors. */
  filterOf(streamId: string): number;
}

/** Where frames come from, as far as the runner needs to know it. */
export interface ModelRunnerParts {
  consumers: readonly Pick<FrameConsumer, 'ready' | 'want' | 'coming' | 'close'>[];
  /** Frames that were taken and not let go. */
  held: () => number;
  metrics: Pick<ModelMetrics, 'batch'>;
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
/** From the end of a batch until its leases have ended. */
const LEASE_SLACK_MS = 50;
/** A frame may wait for so much of its lease at least, however long batches seem to take. */
const WAITING_SHARE = 1 / 2;

type RunnerExecutor = Crew['executors'][number];

const leadMs = ({ uncertaintyMs }: RunnerExecutor): number =>
  Math.min(LONGEST_LEAD_MS, LEAD_MS + LEAD_UNCERTAINTIES * uncertaintyMs);

/** One served model at work: asks for frames as executors become free, and batches what it is given. */
export class ModelRunner {
  readonly #options: ModelRunnerOptions;
  readonly #parts: ModelRunnerParts;
  readonly #batcher: Batcher<Work>;
  readonly #tensors = new TensorQueue();
  /** null: nothing is loaded yet. */
  #crew: Crew | null = null;
  /** Frames whose pool is being attached. */
  #attaching = 0;
  /** Batches that run, by the crew that has them. */
  readonly #running = new Map<Crew, number>();
  #wake: NodeJS.Timeout | null = null;
  #closing = false;

  constructor(options: ModelRunnerOptions, parts: ModelRunnerParts) {
    this.#options = options;
    this.#parts = parts;
    this.#batcher = new Batcher({ size: 1, maxAgeMs: options.maxAgeMs }, () => performance.now());
  }

  /** null when frames can be taken, else why not. */
  ready(): string | null {
    if (this.#crew === null) return 'the model is not loaded yet';
    if (!this.#anyExecutor()) return 'no executor runs';
    return this.#parts.consumers.every(({ ready }) => ready) ? null : 'the frame consumer is not there yet';
  }

  /** The next batch goes to this crew, when the one before has finished those that it has; resolves then. */
  async use(crew: Crew): Promise<void> {
    const before = this.#crew;
    this.#crew = crew;
    this.#batcher.resize(crew.batchSize);
    this.pump();
    if (before !== null) await this.#finished(before);
  }

  /** The crew before still has batches: what a quicker one found now would overtake theirs by more than sink waits for. */
  #isTakingOver(crew: Crew): boolean {
    for (const running of this.#running.keys()) if (running !== crew) return true;
    return false;
  }

  /** A frame was received whose pool has to be attached first. */
  attaching(change: 1 | -1): void {
    this.#attaching += change;
  }

  add(work: Work): void {
    if (this.#closing) return work.failed('the service is stopping');
    this.#batcher.add(work);
    this.pump();
  }

  /** Tensors of a client, between two batches. @throws ENGINE_FAILED, CANCELLED, SHUTTING_DOWN */
  runTensors(inputs: ReadonlyMap<string, InputTensorData>, signal: AbortSignal): Promise<OutputTensorData[]> {
    if (this.#closing) return Promise.reject(stopping());
    const outputs = this.#tensors.add(inputs, signal);
    this.pump();
    return outputs;
  }

  /** Requests of clients that wait. */
  get tensorsWaiting(): number {
    return this.#tensors.length;
  }

  /** Starts what can be started and asks for what could be started next; called whenever something has changed. */
  pump(): void {
    const crew = this.#crew;
    this.#giveUpExpired();
    if (crew !== null) {
      if (!this.#isTakingOver(crew)) {
        for (const executor of crew.executors) if (executor.state === 'idle') this.#start(crew, executor);
        this.#runAhead(crew);
      }
      if (!this.#closing) this.#ask(crew);
    }
    this.#scheduleWake();
  }

  /** Frames whose lease would end before a batch that starts next is done: who keeps them is fenced. */
  #giveUpExpired(): void {
    const { leaseDeadlineMs } = this.#options;
    for (const work of this.#batcher.takeExpired(this.#neededMs())) {
      const waitedMs = Math.round(performance.now() - (work.deadlineMs - leaseDeadlineMs));
      work.expired(`its lease of ${leaseDeadlineMs} ms would have ended before the model was done; it has waited for ${waitedMs} ms`);
    }
  }

  /** From now until the end of a batch that starts next. */
  #neededMs(): number {
    const crew = this.#crew;
    const times = (crew?.executors ?? []).flatMap((executor) => {
      const remainingMs = executor.remainingMs();
      return remainingMs === null ? [] : remainingMs + executor.batchMs(crew?.batchSize ?? 0);
    });
    const batchMs = times.length === 0 ? 0 : Math.min(...times);
    return Math.min(LEASE_SLACK_MS + batchMs, this.#options.leaseDeadlineMs * WAITING_SHARE);
  }

  #start(crew: Crew, executor: RunnerExecutor): void {
    if (this.#tensors.isNext && this.#tensors.start(executor)) return;
    const batch = this.#batcher.take(this.#closing ? 0 : this.#coming());
    if (batch !== null) void this.#run(crew, executor, batch);
    else this.#tensors.start(executor);
  }

  /**
   * A full batch gains nothing by waiting here: it goes to the executor that is
   * done first, whose engine then goes on with it at once.
   */
  #runAhead(crew: Crew): void {
    while (this.#batcher.full && !this.#tensors.isNext) {
      const [executor] = crew.executors
        .filter((one) => one.takesNext && this.#isSoonIdle(one))
        .toSorted((a, b) => (a.remainingMs() ?? 0) - (b.remainingMs() ?? 0));
      const batch = executor === undefined ? null : this.#batcher.take(0);
      if (executor === undefined || batch === null) return;
      void this.#run(crew, executor, batch);
    }
  }

  /** Finishes what it has been given; the crew is the caller's. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const consumer of this.#parts.consumers) consumer.close();
    this.#tensors.fail(stopping());
    this.pump();
    while (this.#running.size > 0 || (this.#batcher.length > 0 && this.#anyExecutor())) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
    if (this.#wake !== null) clearTimeout(this.#wake);
    for (const work of this.#batcher.clear()) work.failed('the service is stopping');
  }

  #anyExecutor(): boolean {
    return this.#crew?.executors.some(({ state }) => state === 'idle' || state === 'busy') ?? false;
  }

  #coming(): number {
    return this.#parts.consumers.reduce((sum, consumer) => sum + consumer.coming(), this.#attaching);
  }

  /** Each consumer may fill what is free: with two of them, at most one batch too many waits here. */
  #ask(crew: Crew): void {
    const free = this.#capacity(crew) - this.#batcher.length - this.#attaching;
    const unheld = this.#options.maxHeld - this.#parts.held() - this.#attaching;
    const count = Math.max(0, Math.min(free, unheld));
    for (const consumer of this.#parts.consumers) consumer.want(count);
  }

  /** Frames that could be started now or in a moment. */
  #capacity({ executors, batchSize }: Crew): number {
    return executors.filter((executor) => this.#isSoonIdle(executor)).length * batchSize;
  }

  #isSoonIdle(executor: RunnerExecutor): boolean {
    const remainingMs = executor.remainingMs();
    return remainingMs !== null && remainingMs <= leadMs(executor);
  }

  /** Wakes when the oldest frame is due, or an executor will soon be idle. */
  #scheduleWake(): void {
    if (this.#wake !== null) clearTimeout(this.#wake);
    const times = (this.#crew?.executors ?? [])
      .map((executor) => (executor.remainingMs() ?? 0) - leadMs(executor))
      .filter((ms) => ms > 0);
    const dueMs = this.#batcher.dueInMs();
    if (dueMs !== null && dueMs > 0) times.push(dueMs);
    const expiresMs = this.#batcher.expiresInMs(this.#neededMs());
    if (expiresMs !== null) times.push(expiresMs);
    this.#wake = times.length === 0 ? null : setTimeout(() => this.pump(), Math.max(1, Math.min(...times)));
  }

  async #run(crew: Crew, executor: RunnerExecutor, batch: Work[]): Promise<void> {
    this.#running.set(crew, (this.#running.get(crew) ?? 0) + 1);
    this.#tensors.passed();
    try {
      const result = await executor.run(
        batch.map(({ lease, region, filter }) => ({
          leaseId: lease.id,
          width: lease.format.width,
          height: lease.format.height,
          region,
          filter: crew.filterOf(filter),
        })),
      );
      this.#finish(crew, batch, result);
    } catch (error) {
      this.#parts.log.error({ err: error, frames: batch.length }, 'a batch failed');
      for (const work of batch) work.failed(messageOf(error));
    } finally {
      const left = (this.#running.get(crew) ?? 1) - 1;
      if (left > 0) this.#running.set(crew, left);
      else this.#running.delete(crew);
      this.pump();
    }
  }

  #finish({ manifest }: Crew, batch: readonly Work[], { rows, findings, times }: ExecutorResult): void {
    this.#parts.metrics.batch(batch, times);
    const run = { manifest, times, size: batch.length };
    for (const [index, work] of batch.entries()) {
      work.done({ rows: rows[index] ?? new Float32Array(0), findings: findings[index] ?? noFindings() }, run);
    }
  }

  async #finished(crew: Crew): Promise<void> {
    while (this.#running.has(crew)) await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
  }
}

const stopping = (): FramebusError => new FramebusError('SHUTTING_DOWN', 'the service is stopping');
