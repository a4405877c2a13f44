import { ServiceState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';
import type { StreamSummary } from './stream_summary.js';
import type { TilesSummary } from './tiled_outputs.js';

/** One service instance as the page shows it. */
export interface ServiceSummary {
  service: string;
  instance: string;
  /** "RUNNING" and so on. */
  state: string;
  /** Share of one core since the status before; null for the first one. */
  cpuPercent: number | null;
  residentMib: number;
}

/** What the page gets once a second. */
export interface PageStatus {
  services: ServiceSummary[];
  streams: StreamSummary[];
  /** Pictures of many streams in one. */
  tiles: TilesSummary[];
  /** Addresses that the sink serves, by purpose. */
  addresses: Record<string, string>;
}

/** Works out the services' load from one status to the next. */
export class ServiceLoads {
  readonly #last = new Map<string, { status: ServiceStatus; cpuPercent: number | null }>();

  hear(status: ServiceStatus): void {
    const key = `${status.service}/${status.instance}`;
    const before = this.#last.get(key)?.status;
    this.#last.set(key, { status, cpuPercent: before ? load(before, status) : null });
  }

  /** Of the services given, in their order. */
  summaries(services: readonly ServiceStatus[]): ServiceSummary[] {
    return services.map((status) => ({
      service: status.service,
      instance: status.instance,
      state: ServiceState[status.state].replace('SERVICE_STATE_', ''),
      cpuPercent: this.#last.get(`${status.service}/${status.instance}`)?.cpuPercent ?? null,
      residentMib: Math.round(Number(status.residentBytes) / 2 ** 20),
    }));
  }
}

function load(before: ServiceStatus, now: ServiceStatus): number | null {
  const seconds = Number(now.unixNs - before.unixNs) / 1e9;
  const cpuSeconds = now.cpuSeconds - before.cpuSeconds;
  if (seconds <= 0 || cpuSeconds < 0) return null;
  return Math.round((100 * cpuSeconds) / seconds);
}
