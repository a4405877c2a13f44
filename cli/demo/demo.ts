import type { ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { FramebusError } from '../../lib/errors.js';
import type { FleetBoard } from '../fleet/board.js';
import { PrivateFleet } from '../fleet/private_fleet.js';
import { demoConfiguration } from './configuration.js';
import { flowOf, isOver } from './flow.js';
import { preferredPort } from './ports.js';
import { demoReport, type DemoAddresses, type DemoReport } from './report.js';
import type { Screen } from './screen.js';
import type { DemoStream } from './streams.js';
import { renderTable } from './table.js';

const HOST = '127.0.0.1';
const TICK_MS = 200;
/** Services take a few seconds to start, however short the demo is to be. */
const LEAST_PATIENCE_MS = 10_000;
const FIRST_PICTURE_WITHIN_MS = 60_000;
/** When one stream flows, the others get so much longer before the table starts. */
const OTHERS_WITHIN_MS = 5_000;

/** What a demo is to do. */
export interface DemoPlan {
  streams: readonly DemoStream[];
  model: { directory: string; name: string };
  /** null: until somebody ends it. */
  durationMs: number | null;
  /** Show no table. */
  quiet: boolean;
  /** A NATS server that runs already; null starts one. */
  natsUrl: string | null;
  screen: Screen;
}

/** The three services with everything they need, from the first process to the last file removed. */
export class Demo {
  readonly #plan: DemoPlan;
  readonly #ids: readonly string[];
  readonly #fleet: PrivateFleet;
  readonly #startedAtMs = performance.now();
  /** What the services write before frames flow is shown only when that fails. */
  #isFlowing = false;
  #measuredFrom: ServiceStatus | undefined;
  #measuredTo: ServiceStatus | undefined;

  constructor(plan: DemoPlan) {
    this.#plan = plan;
    this.#ids = plan.streams.map(({ id }) => id);
    this.#fleet = new PrivateFleet({
      name: 'demo',
      natsUrl: plan.natsUrl,
      configuration: (place) => this.#configuration(place),
      onLine: (kind, line) => {
        if (this.#isFlowing) this.#plan.screen.print(`${kind}: ${line}`);
      },
    });
  }

  /** Starts everything and returns when pictures come out. Throws when they never will. */
  async start(signal: AbortSignal): Promise<DemoAddresses> {
    this.#progress('Starting NATS');
    await this.#fleet.start(signal);
    await this.#untilFlowing(signal);
    this.#isFlowing = true;
    this.#measuredFrom = this.#board.service('sink');
    this.#plan.screen.clear();
    return this.#addresses();
  }

  /** Shows the table until the time is over, all streams have ended, or the signal comes. */
  async watch(signal: AbortSignal): Promise<void> {
    const { durationMs, quiet, screen } = this.#plan;
    const flowingAtMs = performance.now();
    for (;;) {
      const elapsedMs = performance.now() - flowingAtMs;
      this.#fleet.check();
      if (!quiet) screen.table(renderTable(this.#board, this.#ids, elapsedMs));
      const isDone = durationMs !== null && elapsedMs >= durationMs;
      if (isDone || signal.aborted || isOver(this.#board.rows(this.#ids))) return;
      const leftMs = durationMs === null ? TICK_MS : durationMs - elapsedMs;
      await pause(Math.min(TICK_MS, leftMs), signal);
    }
  }

  /** Ends everything and removes what was made. True when nothing had to be forced. Idempotent. */
  async stop(): Promise<boolean> {
    this.#isFlowing = false;
    this.#measuredTo = this.#board.service('sink');
    return this.#fleet.stop();
  }

  /** Ends everything without asking. */
  kill(): void {
    this.#fleet.kill();
  }

  /** The numbers, after `stop`. */
  report(addresses: DemoAddresses, cleanExit: boolean): DemoReport {
    const from = this.#measuredFrom;
    const to = this.#measuredTo;
    if (from === undefined || to === undefined) throw new Error('the demo never ran');
    return demoReport({
      board: this.#board,
      streams: this.#ids,
      addresses,
      measured: { from, to },
      cleanExit,
    });
  }

  get #board(): FleetBoard {
    return this.#fleet.board;
  }

  async #configuration({ natsUrl, busDirectory }: { natsUrl: string; busDirectory: string }): Promise<string> {
    const [rtsp, grpc, page] = await Promise.all([
      preferredPort(8554, HOST),
      preferredPort(50051, HOST),
      preferredPort(8080, HOST),
    ]);
    return demoConfiguration({
      natsUrl,
      busDirectory,
      model: this.#plan.model,
      ports: { rtsp, grpc, page },
      streams: this.#plan.streams,
    });
  }

  async #untilFlowing(signal: AbortSignal): Promise<void> {
    let someAtMs: number | null = null;
    for (;;) {
      if (signal.aborted) throw new FramebusError('CANCELLED', 'demo: ended before frames flowed');
      this.#fleet.check();
      const flow = flowOf(this.#board, this.#ids);
      if (flow.kind === 'failed') {
        throw new FramebusError('SOURCE_FAILED', flow.reasons.join('\n'), {
          remedy: 'No stream is left to play. Check what is given by --source.',
        });
      }
      if (flow.kind === 'flowing') {
        someAtMs ??= performance.now();
        if (flow.all || performance.now() - someAtMs > OTHERS_WITHIN_MS) return;
        this.#progress('Waiting for the other streams');
      } else {
        this.#progress(flow.text);
        const patienceMs = this.#patienceMs(flow.retrying);
        if (performance.now() - this.#startedAtMs > patienceMs) throw tooLate(flow.text, patienceMs);
      }
      await pause(TICK_MS, signal);
    }
  }

  /** A camera that does not answer is tried for as long as the demo may take. */
  #patienceMs(retrying: boolean): number {
    if (!retrying) return FIRST_PICTURE_WITHIN_MS;
    const { durationMs } = this.#plan;
    return durationMs === null ? Infinity : Math.max(durationMs, LEAST_PATIENCE_MS);
  }

  #addresses(): DemoAddresses {
    const served = this.#board.service('sink')?.addresses ?? {};
    const rtsp = (served['rtsp'] ?? '').replace(/\/$/, '');
    return {
      rtsp: this.#ids.map((id) => `${rtsp}/${id}`),
      grpc: served['grpc'] ?? '',
      page: served['page'] ?? served['http'] ?? '',
    };
  }

  #progress(text: string): void {
    this.#plan.screen.progress(text, performance.now() - this.#startedAtMs);
  }
}

function tooLate(last: string, patienceMs: number): FramebusError {
  const seconds = Math.round(patienceMs / 1000);
  return new FramebusError('DEADLINE', `demo: no picture after ${seconds} s; last: ${last}`, {
    remedy: 'Check what is given by --source; "framebus doctor" checks the rest that the demo needs.',
  });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
