import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  status,
  type ServiceDefinition,
  type StatusObject,
  type UntypedServiceImplementation,
  Metadata,
} from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, FramebusError, messageOf, toFramebusError } from './errors.js';
import { hostPort, listenAt, listenError, type ListenAddress } from './listen.js';
import { PACKAGE_ROOT } from './package_root.js';

// Whatever it would print to stderr, our errors say better.
setLogVerbosity(logVerbosity.NONE);

/** What a gRPC call ends with: the catalogue's status; message and remedy as details, code and remedy in the metadata. */
export function toGrpcError(error: unknown): StatusObject & Error {
  const known = toFramebusError(error);
  const metadata = new Metadata();
  metadata.set('framebus-code', known.code);
  metadata.set('framebus-remedy-bin', Buffer.from(known.remedy));
  const details = `${known.message}. ${known.remedy}`;
  return Object.assign(new Error(details), { code: status[ERRORS[known.code].grpc], details, metadata });
}

export interface RpcServerOptions {
  /** Largest message that a client may send; 4 MiB unless given, as gRPC has it everywhere. */
  maxRequestBytes?: number;
}

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** A gRPC server with health checks and reflection. */
export class RpcServer {
  readonly #address: ListenAddress;
  readonly #server: Server;
  readonly #health = new HealthImplementation({ '': 'NOT_SERVING' });
  readonly #services: string[] = [];
  #closed: Promise<void> | undefined;

  constructor(address: ListenAddress, { maxRequestBytes = MAX_REQUEST_BYTES }: RpcServerOptions = {}) {
    this.#address = address;
    this.#server = new Server({
      'grpc.max_concurrent_streams': 1_000,
      'grpc.max_receive_message_length': maxRequestBytes,
    });
    this.#health.addToServer(this.#server);
    reflection().addToServer(this.#server);
  }

  /** Adds a service; call it before `listen`. */
  add(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    this.#server.addService(definition, implementation);
    const [, name] = Object.values(definition)[0]?.path.split('/') ?? [];
    if (name !== undefined) {
      this.#services.push(name);
      this.#health.setStatus(name, 'NOT_SERVING');
    }
  }

  /** Listens and resolves to the port. Throws PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNUSABLE. */
  listen(): Promise<number> {
    return listenAt(this.#address, (port) => this.#listen(port));
  }

  #listen(port: number): Promise<number> {
    const { host } = this.#address;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(hostPort(host, port), ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(listenError(error, this.#address));
      });
    });
  }

  /** What grpc.health.v1 says of the server and of each service. */
  setServing(serving: boolean): void {
    for (const name of ['', ...this.#services]) {
      this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Says NOT_SERVING, takes no new call, lets calls finish for so long, then cuts what is left. */
  close(graceMs = 500): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    this.setServing(false);
    const drained = new Promise<void>((resolve) => {
      this.#server.tryShutdown(() => {
        resolve();
      });
    });
    const cut = new AbortController();
    await Promise.race([drained, sleep(graceMs, undefined, { signal: cut.signal }).catch(() => undefined)]);
    cut.abort();
    this.#server.forceShutdown();
  }
}

/** Reflection over all contracts of proto/. Throws NOT_BUILT when they have not been generated. */
function reflection(): ReflectionService {
  const file = join(PACKAGE_ROOT, 'gen', 'descriptor.binpb');
  let descriptors: Buffer;
  try {
    descriptors = readFileSync(file);
  } catch (error) {
    throw new FramebusError('NOT_BUILT', `${file}: ${messageOf(error)}`, { cause: error });
  }
  return new ReflectionService(loadFileDescriptorSetFromBuffer(descriptors));
}
