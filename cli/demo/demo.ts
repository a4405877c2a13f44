import type { ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { FramebusError } from '../../lib/errors.js';
import { createLog } from '../../lib/log.js';
import { connectNats, type NatsConnection } from '../../lib/nats.js';
import { StatusBoard } from '../../lib/status.js';
import { NatsServer } from '../nats_server.js';
import { DemoBoard } from './board.js';
import { demoConfiguration } from './configuration.js';
import { Fleet } from './fleet.js';
import { flowOf, isOver, isRunning } from './flow.js';
import { preferredPort } from './ports.js';
import { demoReport, type DemoAddresses, type DemoReport } from './report.js';
import type { Screen } from './screen.js';
import type { DemoStream } from './streams.js';
import { renderTable } from './table.js';
import { Workspace } from './workspace.js';

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
  readonly #board = new DemoBoard();
  readonly #startedAtMs = performance.now();
  #workspace: Workspace | null = null;
  #server: NatsServer | null = null;
  #nats: NatsConnection | null = null;
  #fleet: Fleet | null = null;
  /** What the services write before frames flow is shown only when that fails. */
  #isFlowing = false;
  #measuredFrom: ServiceStatus | undefined;
  #measuredTo: ServiceStatus | undefined;

  constructor(plan: DemoPlan) {
    this.#plan = plan;
    this.#ids = plan.streams.map(({ id }) => id);
  }

  /** Starts everything and returns when pictures come out. Throws when they never will. */
  async start(signal: AbortSignal): Promise<DemoAddresses> {
    this.#progress('Starting NATS');
    this.#workspace = new Workspace();
    const natsUrl = await this.#startNats(this.#workspace, signal);
    writeFileSync(this.#workspace.configFile, await this.#configuration(this.#workspace, natsUrl));
    this.#fleet = new Fleet({
      configFile: this.#workspace.configFile,
      environment: { NATS_URL: natsUrl },
      onLine: (kind, line) => {
        if (this.#isFlowing) this.#plan.screen.print(`${kind}: ${line}`);
      },
    });
    this.#fleet.start('infer');
    this.#fleet.start('sink');
    await this.#untilFlowing(this.#fleet, signal);
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
      this.#fleet?.check();
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
    const isClean = (await this.#fleet?.stop()) ?? true;
    // The last messages of the services were sent before they ended; this waits for their arrival.
    await this.#nats?.flush().catch(() => undefined);
    await this.#nats?.close();
    await this.#server?.close();
    const leftBehind = this.#workspace?.remove().leftBehind ?? [];
    this.#fleet = this.#nats = this.#server = this.#workspace = null;
    return isClean && leftBehind.length === 0;
  }

  /** Ends everything without asking. */
  kill(): void {
    this.#fleet?.kill();
    this.#server?.kill();
    this.#workspace?.remove();
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

  async #startNats(workspace: Workspace, signal: AbortSignal): Promise<string> {
    const log = createLog({ service: 'demo', level: 'error' });
    let url = this.#plan.natsUrl;
    if (url === null) {
      this.#server = await NatsServer.start({ directory: workspace.directory, signal });
      url = this.#server.url;
    }
    this.#nats = await connectNats({ url, name: 'framebus-demo', log, signal });
    new StatusBoard(this.#nats).onStatus((status) => {
      this.#board.update(status);
    });
    return url;
  }

  async #configuration(workspace: Workspace, natsUrl: string): Promise<string> {
    const [rtsp, grpc, page] = await Promise.all([
      preferredPort(8554, HOST),
      preferredPort(50051, HOST),
      preferredPort(8080, HOST),
    ]);
    return demoConfiguration({
      natsUrl,
      busDirectory: workspace.busDirectory,
      model: this.#plan.model,
      ports: { rtsp, grpc, page },
      streams: this.#plan.streams,
    });
  }

  async #untilFlowing(fleet: Fleet, signal: AbortSignal): Promise<void> {
    let someAtMs: number | null = null;
    for (;;) {
      if (signal.aborted) throw new FramebusError('CANCELLED', 'demo: ended before frames flowed');
      fleet.check();
      // Frames come last, so that none finds nobody.
      if (isRunning(this.#board, 'infer') && isRunning(this.#board, 'sink')) fleet.start('ingest');
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
