import type { PoolState } from '../native/contract.js';
import type { ServedModel } from '#proto/framebus/model/v1/served_model.js';
import { ServiceState, type StreamStatus } from '#proto/framebus/status/v1/status.js';
import type { Registry } from 'prom-client';
import { loadConfig, type Config, type EndpointConfig } from './config.js';
import { Counters } from './counters.js';
import { withDeadline } from './deadline.js';
import { describeError, EXIT, exitCodeOf, FramebusError, toFramebusError } from './errors.js';
import { HttpServer, type HttpRoute } from './http.js';
import { hostPort, type ListenAddress } from './listen.js';
import { createLog, redactUrl, type Log } from './log.js';
import { createMetrics } from './metrics.js';
import { connectNats, isConnected, keepFrameStreams, type NatsConnection } from './nats.js';
import { healthRoutes } from './service/health.js';
import { claimInstanceName } from './service/instance_name.js';
import { parseServiceArguments, type ServiceOptions } from './service/options.js';
import { Shutdown, type StopRequest } from './service/shutdown.js';
import { makeStatus, publishStatus, stateWord } from './status.js';

/** Kinds of service, in the order in which a frame meets them. */
export const SERVICE_KINDS = ['ingest', 'infer', 'sink'] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];

/** What a service is given. */
export interface ServiceContext {
  readonly config: Config;
  readonly log: Log;
  readonly nats: NatsConnection;
  readonly counters: Counters;
  /** Registry behind /metrics. */
  readonly metrics: Registry;
  /** Name of this instance. */
  readonly instance: string;
  /** Where its gRPC server listens. */
  readonly grpc: ListenAddress;
  /** Addresses that the service serves, by purpose; "http" is there already. */
  readonly addresses: Map<string, string>;
  /** Aborted when the service is to end; for a start that takes long. */
  readonly signal: AbortSignal;
  /** Ends the service because of an error. */
  fatal(error: unknown): void;
}

/** What a service gives. */
export interface Service {
  /** Finishes what has begun; resolves when nothing is left. Idempotent. */
  close(): Promise<void>;
  /** Counters of its streams; still asked after `close`. */
  streams(): StreamStatus[];
  /** Pools of frame memory that it owns. */
  pools?(): PoolState[];
  /** Models that it serves. */
  models?(): ServedModel[];
  /** null when it can do its work, else why not. */
  ready(): string | null;
  /** Served next to /metrics, /healthz and /readyz. */
  routes?: readonly HttpRoute[];
}

export type StartService = (context: ServiceContext) => Promise<Service>;

export interface RunOptions {
  /** `--config FILE`, `--name NAME`, `--http-port PORT`, `--grpc-port PORT`. */
  argv: readonly string[];
}

const STATUS_INTERVAL_MS = 1_000;
const DRAIN_DEADLINE_MS = 4_000;
const NATS_CLOSE_DEADLINE_MS = 400;

/**
 * Runs a service until it is told to end: configuration, log, HTTP, NATS, start,
 * a status a second, drain. Resolves to the exit code; the caller ends the process
 * with it. Errors are one message on stderr.
 */
export async function runService(kind: ServiceKind, start: StartService, options: RunOptions): Promise<number> {
  let arguments_: ServiceOptions;
  let config: Config;
  let instance: string;
  try {
    arguments_ = parseServiceArguments(options.argv);
    config = loadConfig(arguments_.config);
    instance = await instanceName(kind, config, arguments_.name);
  } catch (error) {
    process.stderr.write(`framebus ${kind}: ${redactUrl(describeError(error))}\n`);
    return exitCodeOf(error);
  }
  const runner = new Runner(kind, withArguments(kind, config, { ...arguments_, name: instance }), arguments_);
  if (instance !== (arguments_.name ?? config[kind].name)) runner.tellOtherName(config[kind].name);
  return runner.run(start);
}

/** Of workers there may be several with one configuration: each takes a name of its own. @throws NAME_IN_USE */
function instanceName(kind: ServiceKind, config: Config, asked: string | undefined): Promise<string> {
  const name = asked ?? config[kind].name;
  if (kind !== 'infer') return Promise.resolve(name);
  return claimInstanceName({ kind, name, directory: config.bus.directory, exact: asked !== undefined });
}

/** The configuration, with what the command line says instead. */
function withArguments(kind: ServiceKind, config: Config, { name, httpPort, grpcPort }: Partial<ServiceOptions>): Config {
  const own = config[kind];
  const endpoint = ({ host, port }: EndpointConfig, other: number | undefined): EndpointConfig => ({ host, port: other ?? port });
  return {
    ...config,
    [kind]: { ...own, name: name ?? own.name, http: endpoint(own.http, httpPort), grpc: endpoint(own.grpc, grpcPort) },
  };
}

class Runner {
  readonly #kind: ServiceKind;
  readonly #config: Config;
  readonly #instance: string;
  readonly #log: Log;
  readonly #metrics: Registry;
  readonly #counters: Counters;
  readonly #http: HttpServer;
  readonly #shutdown: Shutdown;
  readonly #addresses = new Map<string, string>();
  readonly #grpc: ListenAddress;
  #state = ServiceState.SERVICE_STATE_STARTING;
  #nats: NatsConnection | undefined;
  #service: Service | undefined;
  #statusTimer: NodeJS.Timeout | undefined;

  constructor(kind: ServiceKind, config: Config, { httpPort, grpcPort }: ServiceOptions) {
    const own = config[kind];
    this.#kind = kind;
    this.#config = config;
    this.#instance = own.name;
    process.title = `framebus ${kind}`;
    this.#log = createLog({ service: kind, instance: this.#instance, ...config.log });
    this.#metrics = createMetrics(kind, this.#instance);
    this.#counters = new Counters(kind, this.#metrics);
    this.#http = new HttpServer(this.#listenAddress('http', httpPort), this.#log);
    this.#grpc = this.#listenAddress('grpc', grpcPort);
    this.#shutdown = new Shutdown((exitCode) => {
      this.#log.warn('forced to end; nothing more is finished');
      process.exit(exitCode);
    });
  }

  /** Another instance has the configured name. */
  tellOtherName(configured: string): void {
    this.#log.info({ instance: this.#instance }, `another instance is called ${configured}; this one is ${this.#instance}`);
  }

  /** A further worker with the same configuration finds its ports in use; only `asked` ones are insisted on. */
  #listenAddress(purpose: 'http' | 'grpc', asked: number | undefined): ListenAddress {
    const { host, port } = this.#config[this.#kind][purpose];
    const key = `${this.#kind}.${purpose}`;
    if (this.#kind !== 'infer' || asked !== undefined) return { host, port, key };
    const onOtherPort = (other: number): void => {
      this.#log.info({ [purpose]: hostPort(host, other) }, `${key}.port ${port} is in use; listening on ${other} instead`);
    };
    return { host, port, key, onOtherPort };
  }

  async run(start: StartService): Promise<number> {
    this.#log.info({ pid: process.pid }, `${this.#instance} starting`);
    const starting = this.#start(start);
    // The rejection is looked at in #end, which may be later.
    starting.catch((error: unknown) => {
      this.#shutdown.fatal(error);
    });
    const request = await this.#shutdown.requested;
    const exitCode = await this.#end(request, starting);
    this.#shutdown.close();
    return exitCode;
  }

  async #start(start: StartService): Promise<void> {
    const { http } = this.#config[this.#kind];
    this.#http.add(
      ...healthRoutes(this.#metrics, {
        state: () => stateWord(this.#state),
        notReady: () => this.#notReady(),
      }),
    );
    const port = await this.#http.listen();
    this.#addresses.set('http', `http://${hostPort(http.host, port)}`);
    const nats = await this.#connect();
    this.#nats = nats;
    this.#statusTimer = setInterval(() => {
      this.#tick();
    }, STATUS_INTERVAL_MS);
    await keepFrameStreams(nats, this.#log);
    this.#service = await start(this.#context(nats));
    if (this.#service.routes !== undefined) this.#http.add(...this.#service.routes);
    this.#tick();
  }

  async #connect(): Promise<NatsConnection> {
    const { url } = this.#config.nats;
    if (url === 'embedded') {
      throw new FramebusError('CONFIG_INVALID', 'nats.url: "embedded" works only under "framebus up"', {
        remedy: 'Set nats.url, or NATS_URL, to a running server.',
      });
    }
    const name = `framebus ${this.#kind} ${this.#instance}`;
    const nats = await connectNats({ url, name, log: this.#log, signal: this.#shutdown.signal });
    void nats.closed().then((error) => {
      const why = error instanceof Error ? `: ${error.message}` : '';
      this.#shutdown.fatal(new FramebusError('NATS_CLOSED', `NATS: the connection was closed for good${why}`));
    });
    return nats;
  }

  #context(nats: NatsConnection): ServiceContext {
    return {
      config: this.#config,
      log: this.#log,
      nats,
      counters: this.#counters,
      metrics: this.#metrics,
      instance: this.#instance,
      grpc: this.#grpc,
      addresses: this.#addresses,
      signal: this.#shutdown.signal,
      fatal: (error) => {
        this.#shutdown.fatal(error);
      },
    };
  }

  /** Drains in reverse order of start, within the deadline. */
  async #end(request: StopRequest, starting: Promise<void>): Promise<number> {
    if (request.error !== undefined) this.#logFatal(request.error);
    this.#setState(ServiceState.SERVICE_STATE_DRAINING, request.reason);
    let { exitCode } = request;
    try {
      const drained = starting.then(
        () => this.#service?.close(),
        () => undefined,
      );
      await withDeadline(drained, DRAIN_DEADLINE_MS, `${this.#kind}: draining`);
    } catch (error) {
      this.#log.error({ err: error }, 'draining failed');
      if (exitCode === EXIT.ok) exitCode = EXIT.failed;
    }
    clearInterval(this.#statusTimer);
    this.#setState(ServiceState.SERVICE_STATE_STOPPED, `exit code ${exitCode}`);
    await this.#closeNats();
    await this.#http.close();
    return exitCode;
  }

  #logFatal(error: unknown): void {
    const { code } = toFramebusError(error);
    if (code === 'CANCELLED') return;
    // The message says it all, unless the error is a mistake of ours.
    this.#log.fatal(code === 'INTERNAL' ? { err: error } : { code }, describeError(error));
  }

  async #closeNats(): Promise<void> {
    const nats = this.#nats;
    if (nats === undefined || nats.isClosed()) return;
    if (isConnected(nats)) {
      // close() alone may leave the last status in the client's buffer.
      await withDeadline(nats.flush(), NATS_CLOSE_DEADLINE_MS, 'NATS flush').catch(() => undefined);
    }
    await withDeadline(nats.close(), NATS_CLOSE_DEADLINE_MS, 'NATS close').catch(() => undefined);
  }

  #tick(): void {
    if (this.#state === ServiceState.SERVICE_STATE_STARTING && this.#service?.ready() === null) {
      this.#setState(ServiceState.SERVICE_STATE_RUNNING, '');
    } else {
      this.#publishStatus();
    }
  }

  /** The one place where the state changes. */
  #setState(state: ServiceState, why: string): void {
    this.#state = state;
    const addresses = state === ServiceState.SERVICE_STATE_RUNNING ? Object.fromEntries(this.#addresses) : {};
    this.#log.info(addresses, `${this.#instance} ${stateWord(state)}${why === '' ? '' : ` (${why})`}`);
    this.#publishStatus();
  }

  #publishStatus(): void {
    if (this.#nats === undefined || !isConnected(this.#nats)) return;
    publishStatus(
      this.#nats,
      makeStatus({
        service: this.#kind,
        instance: this.#instance,
        state: this.#state,
        streams: this.#service?.streams() ?? [],
        pools: this.#service?.pools?.() ?? [],
        models: this.#service?.models?.() ?? [],
        addresses: this.#addresses,
      }),
    );
  }

  #notReady(): string | null {
    if (this.#state > ServiceState.SERVICE_STATE_RUNNING) return stateWord(this.#state);
    if (this.#nats === undefined) return 'not connected to NATS yet';
    if (!isConnected(this.#nats)) return 'the connection to NATS is lost';
    if (this.#service === undefined) return 'starting';
    return this.#service.ready();
  }
}
