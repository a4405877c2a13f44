import { setTimeout as sleep } from 'node:timers/promises';
import { FramebusError } from '../../lib/errors.js';
import { SERVICE_KINDS, type ServiceKind } from '../../lib/service.js';
import { ServiceProcess, type ProcessEnd, type ServiceProcessOptions } from './service_process.js';

/** When, after the end has begun, the next service is asked although the one before still works. */
const PATIENCE_MS: Readonly<Record<ServiceKind, number>> = { ingest: 1_500, infer: 2_500, sink: 4_000 };

/** The three services, each in a process of its own. */
export class Fleet {
  readonly #options: Omit<ServiceProcessOptions, 'kind'>;
  readonly #started = new Map<ServiceKind, ServiceProcess>();
  #isStopping = false;

  constructor(options: Omit<ServiceProcessOptions, 'kind'>) {
    this.#options = options;
  }

  /** Starts a service, unless it has been started. */
  start(kind: ServiceKind): void {
    if (this.#isStopping || this.#started.has(kind)) return;
    this.#started.set(kind, new ServiceProcess({ kind, ...this.#options }));
  }

  /** Those that were started, in the order of a frame's way. */
  get #services(): ServiceProcess[] {
    return SERVICE_KINDS.flatMap((kind) => this.#started.get(kind) ?? []);
  }

  /** Throws SERVICE_FAILED when a service has ended although nobody asked it to. */
  check(): void {
    const gone = this.#services.find(({ hasEnded }) => hasEnded);
    if (gone === undefined || this.#isStopping) return;
    const said = gone.lines.map((line) => `  ${line}`).join('\n');
    throw new FramebusError('SERVICE_FAILED', `${gone.kind}: has ended\n${said}`, {
      remedy: 'See what it said above.',
    });
  }

  /**
   * Ends the services in the order of a frame's way, so that what is under way still arrives.
   * What has not ended after 4 s is killed. True when all ended by themselves, without an error.
   */
  async stop(): Promise<boolean> {
    this.#isStopping = true;
    const startedAtMs = performance.now();
    for (const service of this.#services) {
      service.signal('SIGTERM');
      const leftMs = PATIENCE_MS[service.kind] - (performance.now() - startedAtMs);
      await Promise.race([service.ended, sleep(Math.max(0, leftMs), undefined, { ref: false })]);
    }
    this.kill();
    const ends = await Promise.all(this.#services.map(({ ended }) => ended));
    return ends.every(isClean);
  }

  /** Ends all of them now. */
  kill(): void {
    this.#isStopping = true;
    for (const service of this.#services) service.signal('SIGKILL');
  }
}

function isClean({ code }: ProcessEnd): boolean {
  return code === 0;
}
