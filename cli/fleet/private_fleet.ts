import { writeFileSync } from 'node:fs';
import { createLog } from '../../lib/log.js';
import { connectNats, type NatsConnection } from '../../lib/nats.js';
import { StatusBoard } from '../../lib/status.js';
import type { ServiceKind } from '../../lib/service.js';
import { NatsServer } from '../nats_server.js';
import { FleetBoard } from './board.js';
import { Fleet } from './fleet.js';
import { Workspace } from './workspace.js';

export interface PrivateFleetOptions {
  /** Of the command: in the name of its folder, and in NATS. */
  name: string;
  /** A NATS server that runs already; null starts one. */
  natsUrl: string | null;
  /** The text of the services' configuration file. */
  configuration: (place: { natsUrl: string; busDirectory: string }) => Promise<string>;
  /** Told each line that a service writes. */
  onLine: (kind: ServiceKind, line: string) => void;
}

/** The three services with a folder and, unless one is given, a NATS server that are theirs alone, and that go with them. */
export class PrivateFleet {
  readonly board = new FleetBoard();
  readonly #options: PrivateFleetOptions;
  #workspace: Workspace | null = null;
  #server: NatsServer | null = null;
  #nats: NatsConnection | null = null;
  #fleet: Fleet | null = null;

  constructor(options: PrivateFleetOptions) {
    this.#options = options;
  }

  /** Between `start` and `stop`. */
  get nats(): NatsConnection | null {
    return this.#nats;
  }

  /** Starts all but ingest, which `check` starts. Throws NATS_…, CANCELLED. */
  async start(signal: AbortSignal): Promise<void> {
    const { name, configuration, onLine } = this.#options;
    this.#workspace = new Workspace(name);
    const { configFile, busDirectory } = this.#workspace;
    const natsUrl = await this.#startNats(this.#workspace, signal);
    writeFileSync(configFile, await configuration({ natsUrl, busDirectory }));
    this.#fleet = new Fleet({ configFile, environment: { NATS_URL: natsUrl }, onLine });
    this.#fleet.start('infer');
    this.#fleet.start('sink');
  }

  /** Call it again and again. Throws SERVICE_FAILED when a service has ended although nobody asked it to. */
  check(): void {
    this.#fleet?.check();
    // Frames come last, so that none finds nobody.
    if (this.board.isRunning('infer') && this.board.isRunning('sink')) this.#fleet?.start('ingest');
  }

  /** Ends everything and removes what was made. True when nothing had to be forced. Idempotent. */
  async stop(): Promise<boolean> {
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

  async #startNats(workspace: Workspace, signal: AbortSignal): Promise<string> {
    const { name, natsUrl } = this.#options;
    let url = natsUrl;
    if (url === null) {
      this.#server = await NatsServer.start({ directory: workspace.directory, signal });
      url = this.#server.url;
    }
    const log = createLog({ service: name, level: 'error' });
    this.#nats = await connectNats({ url, name: `framebus-${name}`, log, signal });
    new StatusBoard(this.#nats).onStatus((status) => {
      this.board.update(status);
    });
    return url;
  }
}
