import { ServiceState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../lib/config.js';
import { describeError, EXIT } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { connectNats, type NatsConnection } from '../../lib/nats.js';
import type { ServiceKind } from '../../lib/service.js';
import { StatusBoard } from '../../lib/status.js';
import { NatsServer } from '../nats_server.js';
import { GaveUp } from './supervised_service.js';
import { Supervisor } from './supervisor.js';

export interface UpOptions {
  configFile: string;
  config: Config;
  /** "embedded", or the URL of a running server. */
  natsUrl: string;
  log: Log;
  /** How the services write their log. */
  logFormat: 'text' | 'json';
}

const NATS_RESTART_WAIT_MS = 1_000;
// What the services' own logs begin with; anything else gets the name of its service.
const LOG_LINE = /^(\{"level":|\[\d\d:\d\d:\d\d\.\d{3}\] )/;

/** All services of this machine, from start to end. */
export class Up {
  readonly #options: UpOptions;
  readonly #log: Log;
  /** Streams whose addresses have been told. */
  readonly #live = new Set<string>();
  #server: NatsServer | undefined;
  #nats: NatsConnection | undefined;
  #supervisor: Supervisor | undefined;
  #stopping = false;
  #told = false;

  constructor(options: UpOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Starts everything, and returns the exit code when the signal comes or a service cannot be kept running. */
  async run(signal: AbortSignal): Promise<number> {
    try {
      const url = await this.#startNats(signal);
      const supervisor = this.#startServices(url);
      const stopped = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => {
          resolve();
        });
      });
      await Promise.race([stopped, supervisor.done()]);
      this.#log.info('ending');
      return EXIT.ok;
    } catch (error) {
      if (signal.aborted) return EXIT.ok;
      if (!(error instanceof GaveUp)) throw error;
      this.#log.error(`${describeError(error)} Ending the others.`);
      return error.exitCode;
    } finally {
      await this.#stop();
    }
  }

  /** Ends everything on the spot. */
  kill(): void {
    this.#stopping = true;
    this.#supervisor?.kill();
    this.#server?.kill();
  }

  /** A server of our own, if asked for, and a connection; so the services find NATS there. */
  async #startNats(signal: AbortSignal): Promise<string> {
    let url = this.#options.natsUrl;
    if (url === 'embedded') {
      this.#server = await NatsServer.start({ signal });
      url = this.#server.url;
      this.#log.info({ url }, `nats-server of our own at ${url}`);
      void this.#keepNats(this.#server);
    }
    this.#nats = await connectNats({ url, name: 'framebus up', log: this.#log, signal });
    return url;
  }

  /** Starts the server anew, on the same port, when it dies. */
  async #keepNats(server: NatsServer): Promise<void> {
    await server.exited;
    while (!this.#isStopping()) {
      this.#log.warn(`nats-server has ended; starting it again in ${NATS_RESTART_WAIT_MS / 1_000} s`);
      await server.close();
      await sleep(NATS_RESTART_WAIT_MS);
      if (this.#isStopping()) return;
      try {
        this.#server = await NatsServer.start({ port: server.port });
        void this.#keepNats(this.#server);
        return;
      } catch (error) {
        this.#log.error(describeError(error));
      }
    }
  }

  #isStopping(): boolean {
    return this.#stopping;
  }

  #startServices(natsUrl: string): Supervisor {
    const { configFile, log, logFormat } = this.#options;
    const supervisor = new Supervisor({
      configFile,
      environment: { NATS_URL: natsUrl, FRAMEBUS_LOG_FORMAT: logFormat },
      log,
      onLine: showLine,
    });
    this.#supervisor = supervisor;
    if (this.#nats !== undefined) {
      const board = new StatusBoard(this.#nats);
      board.onStatus((status) => {
        this.#onStatus(status, board, supervisor);
      });
    }
    return supervisor;
  }

  #onStatus(status: ServiceStatus, board: StatusBoard, supervisor: Supervisor): void {
    if (status.state === ServiceState.SERVICE_STATE_RUNNING) supervisor.markReady(status.service);
    if (status.service === 'sink') this.#tellStreams(status);
    const running = board.latest().filter(({ state }) => state === ServiceState.SERVICE_STATE_RUNNING);
    if (this.#told || new Set(running.map(({ service }) => service)).size < 3) return;
    this.#told = true;
    this.#log.info('all services are running; Ctrl-C ends them');
  }

  /** Tells where a stream can be seen, once there is something to see. */
  #tellStreams({ streams, addresses }: ServiceStatus): void {
    for (const { streamId, framesOut } of streams) {
      if (framesOut === 0n || this.#live.has(streamId)) continue;
      this.#live.add(streamId);
      const rtsp = `${(addresses['rtsp'] ?? '').replace(/\/$/, '')}/${streamId}`;
      this.#log.info({ stream: streamId, page: addresses['page'], grpc: addresses['grpc'] }, `${streamId} is live at ${rtsp}`);
    }
  }

  /** In reverse order of start. */
  async #stop(): Promise<void> {
    this.#stopping = true;
    const clean = (await this.#supervisor?.stop()) ?? true;
    if (!clean) this.#log.warn('a service did not end in time and was killed');
    await this.#nats?.close();
    await this.#server?.close();
  }
}

function showLine(kind: ServiceKind, line: string): void {
  process.stderr.write(LOG_LINE.test(line) ? `${line}\n` : `${kind}: ${line}\n`);
}
