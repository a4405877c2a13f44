import {
  ServiceState,
  StreamState,
  type PoolStatus,
  type ServiceStatus,
  type StreamStatus,
} from '#proto/framebus/status/v1/status.js';
import type { ServedModel } from '#proto/framebus/model/v1/served_model.js';
import type { PoolState } from '../native/contract.js';
import type { NatsConnection, Subscription } from 'nats';
import { decodeStatus, encodeStatus, type Unversioned } from './messages.js';
import { ALL_STATUS, status as statusSubject } from './subjects.js';

/** What a service knows of itself. */
export interface StatusParts {
  service: string;
  instance: string;
  state: ServiceState;
  streams: StreamStatus[];
  /** Pools of frame memory that it owns. */
  pools: readonly PoolState[];
  /** Models that it serves. */
  models: ServedModel[];
  /** Address by purpose, for example "rtsp" → "rtsp://127.0.0.1:8554". */
  addresses: ReadonlyMap<string, string>;
}

/** The status of this process now. */
export function makeStatus(parts: StatusParts): Unversioned<ServiceStatus> {
  const cpu = process.cpuUsage();
  return {
    service: parts.service,
    instance: parts.instance,
    state: parts.state,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    residentBytes: BigInt(process.memoryUsage.rss()),
    streams: parts.streams,
    pools: parts.pools.map(poolStatus),
    models: parts.models,
    addresses: Object.fromEntries(parts.addresses),
    unixNs: BigInt(Date.now()) * 1_000_000n,
  };
}

/** A pool as its status message says it. */
function poolStatus({ consumers, ...pool }: PoolState): PoolStatus {
  return {
    ...pool,
    consumers: consumers.map(({ peerUid, ...consumer }) => ({ ...consumer, uid: peerUid })),
  };
}

/** Publishes a status on its instance's subject. */
export function publishStatus(nats: NatsConnection, status: Unversioned<ServiceStatus>): void {
  nats.publish(statusSubject(status.service, status.instance), encodeStatus(status));
}

interface Heard {
  status: ServiceStatus;
  atMs: number;
}

/** Keeps the latest status of every service instance that is heard on NATS. */
export class StatusBoard {
  readonly #subscription: Subscription;
  readonly #nowMs: () => number;
  readonly #heard = new Map<string, Heard>();
  #listener: (status: ServiceStatus) => void = () => undefined;

  constructor(nats: NatsConnection, nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
    this.#subscription = nats.subscribe(ALL_STATUS, {
      callback: (error, message) => {
        if (error === null) this.#hear(message.data);
      },
    });
  }

  /** Is told every status as it comes. */
  onStatus(listener: (status: ServiceStatus) => void): void {
    this.#listener = listener;
  }

  /** Statuses at most so old, by service and instance; stopped services stay until then. */
  latest(maxAgeMs = 5_000): ServiceStatus[] {
    const oldest = this.#nowMs() - maxAgeMs;
    return [...this.#heard.values()]
      .filter(({ atMs }) => atMs >= oldest)
      .map(({ status }) => status)
      .sort((a, b) => `${a.service}/${a.instance}`.localeCompare(`${b.service}/${b.instance}`));
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  #hear(data: Uint8Array): void {
    let status: ServiceStatus;
    try {
      status = decodeStatus(data);
    } catch {
      // A status of another version says nothing that this one could show.
      return;
    }
    this.#heard.set(`${status.service}/${status.instance}`, { status, atMs: this.#nowMs() });
    this.#listener(status);
  }
}

const STATES: Readonly<Record<ServiceState, string>> = {
  [ServiceState.SERVICE_STATE_UNSPECIFIED]: 'unknown',
  [ServiceState.SERVICE_STATE_STARTING]: 'starting',
  [ServiceState.SERVICE_STATE_RUNNING]: 'running',
  [ServiceState.SERVICE_STATE_DRAINING]: 'draining',
  [ServiceState.SERVICE_STATE_STOPPED]: 'stopped',
};

/** A service's state in a word. */
export const stateWord = (state: ServiceState): string => STATES[state];

const STREAM_STATES: Readonly<Record<StreamState, string>> = {
  [StreamState.STREAM_STATE_UNSPECIFIED]: '',
  [StreamState.STREAM_STATE_CONNECTING]: 'connecting',
  [StreamState.STREAM_STATE_PLAYING]: 'playing',
  [StreamState.STREAM_STATE_RECONNECTING]: 'reconnecting',
  [StreamState.STREAM_STATE_ENDED]: 'ended',
  [StreamState.STREAM_STATE_FAILED]: 'failed',
};

/** A stream's state in a word; empty from services that do not know it. */
export const streamStateWord = (state: StreamState): string => STREAM_STATES[state];
