import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, ERRORS, messageOf, toFramebusError } from './errors.js';
import { listenAt, listenError, type ListenAddress } from './listen.js';
import type { Log } from './log.js';

/** One request, its path taken apart. */
export interface HttpRequest {
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** Values of the `:name` parts of the route's path, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

/** What is served at a path. `/live/:stream` matches one part; a handler that throws answers with the error. */
export interface HttpRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  handle(request: HttpRequest): void | Promise<void>;
}

const STATUS: Partial<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  RESOURCE_EXHAUSTED: 429,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  FAILED_PRECONDITION: 503,
  DEADLINE_EXCEEDED: 504,
};

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** An HTTP server with a few routes. */
export class HttpServer {
  readonly #address: ListenAddress;
  readonly #log: Log;
  readonly #routes: HttpRoute[] = [];
  readonly #server: Server;
  #closed: Promise<void> | undefined;

  constructor(address: ListenAddress, log: Log) {
    this.#address = address;
    this.#log = log;
    this.#server = createServer((incoming, response) => {
      void this.#answer(incoming, response);
    });
  }

  /** Adds routes; the first that matches answers. May be called while listening. */
  add(...routes: readonly HttpRoute[]): void {
    this.#routes.push(...routes);
  }

  /** Listens and resolves to the port. Throws PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNUSABLE. */
  listen(): Promise<number> {
    return listenAt(this.#address, (port) => this.#listen(port));
  }

  async #listen(port: number): Promise<number> {
    this.#server.listen(port, this.#address.host);
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      throw listenError(error, this.#address);
    }
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new connection, lets requests finish for so long, then cuts what is left. */
  close(graceMs = 500): Promise<void> {
    this.#closed ??= this.#close(graceMs);
    return this.#closed;
  }

  async #close(graceMs: number): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeIdleConnections();
    const cut = new AbortController();
    await Promise.race([closed, sleep(graceMs, undefined, { signal: cut.signal }).catch(() => undefined)]);
    cut.abort();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(incoming, response);
    } catch (error) {
      this.#fail(incoming, response, error);
    }
  }

  async #route(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    // Node leaves out the body of an answer to HEAD by itself.
    const method = incoming.method === 'HEAD' ? 'GET' : incoming.method;
    let allowed = '';
    for (const route of this.#routes) {
      const params = match(route.path, url.pathname);
      if (params === null) continue;
      if (route.method === method) return route.handle({ incoming, response, url, params });
      allowed = route.method;
    }
    if (allowed === '') {
      sendJson(response, 404, { code: 'NOT_FOUND', message: `${url.pathname}: nothing here` });
    } else {
      response.setHeader('allow', allowed);
      sendJson(response, 405, { code: 'METHOD', message: `${url.pathname}: only ${allowed}` });
    }
  }

  #fail(incoming: IncomingMessage, response: ServerResponse, error: unknown): void {
    const known = toFramebusError(error);
    if (known.code === 'INTERNAL' && codeOf(error) !== 'ERR_INVALID_URL') {
      this.#log.error({ err: error, method: incoming.method, url: incoming.url }, 'HTTP request failed');
    }
    if (response.headersSent) {
      response.destroy();
    } else {
      const status = codeOf(error) === 'ERR_INVALID_URL' ? 400 : (STATUS[ERRORS[known.code].grpc] ?? 500);
      sendJson(response, status, { code: known.code, message: messageOf(known), remedy: known.remedy });
    }
  }
}

/** Parameters of a path that fits a route's pattern; null when it does not. */
function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const value = given[i] ?? '';
    if (part.startsWith(':')) {
      const decoded = decode(value);
      if (decoded === '') return null;
      params[part.slice(1)] = decoded;
    } else if (part !== value) {
      return null;
    }
  }
  return params;
}

/** The text of a percent-encoded part; empty when it is malformed. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
