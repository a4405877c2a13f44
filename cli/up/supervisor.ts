import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../lib/log.js';
import type { ServiceKind } from '../../lib/service.js';
import { ServiceProcess } from '../fleet/service_process.js';
import { SupervisedService } from './supervised_service.js';

export interface SupervisorOptions {
  configFile: string;
  /** Added to the services' environment. */
  environment: Readonly<Record<string, string>>;
  log: Log;
  /** Told every line that a service writes. */
  onLine: (kind: ServiceKind, line: string) => void;
}

/** In the order of a frame's way: what is under way still arrives when they end one after the other. */
const KINDS = ['ingest', 'infer', 'sink'] as const;
/** When, after the end has begun, the next is asked although the one before still works. */
const PATIENCE_MS: Readonly<Record<ServiceKind, number>> = { ingest: 1_500, infer: 2_500, sink: 4_200 };

/** The services of `framebus up`. */
export class Supervisor {
  readonly #services: readonly SupervisedService[];

  /** Starts all of them at once; they find each other. */
  constructor({ configFile, environment, log, onLine }: SupervisorOptions) {
    this.#services = KINDS.map((kind) => {
      const start = (): ServiceProcess => new ServiceProcess({ kind, configFile, environment, onLine });
      return new SupervisedService({ kind, start, log });
    });
  }

  /** Rejects with GaveUp when a service cannot be kept running; resolves after `stop`. */
  async done(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.done));
  }

  /** A service has said that it is ready. */
  markReady(kind: string): void {
    this.#services.find((service) => service.kind === kind)?.markReady();
  }

  /** Ends all services, by force what has not ended after four seconds. True when none was forced. */
  async stop(): Promise<boolean> {
    const startedAtMs = performance.now();
    for (const service of this.#services) {
      service.stop();
      const leftMs = PATIENCE_MS[service.kind] - (performance.now() - startedAtMs);
      await Promise.race([service.ended, sleep(Math.max(0, leftMs), undefined, { ref: false })]);
    }
    this.kill();
    const ends = await Promise.all(this.#services.map(({ ended }) => ended));
    return ends.every(({ signal }) => signal !== 'SIGKILL');
  }

  /** Ends all services on the spot. */
  kill(): void {
    for (const service of this.#services) service.kill();
  }
}
