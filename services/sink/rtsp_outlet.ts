import type { RtspConfig } from '../../lib/config/resolve.js';
import { hostPort } from '../../lib/listen.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import type { RtspServer, RtspServerEvent } from '../../native/contract.js';
import { createRtspServer } from '../../native/index.js';
import { readCertificate, readPassword } from './rtsp_secrets.js';

/** The RTSP server of a sink, and what it had to refuse. */
export class RtspOutlet {
  readonly server: RtspServer;
  /** rtsp://host:port, or rtsps://; the streams are below it. */
  readonly address: string;
  /** Players that were disconnected, by reason. */
  readonly dropped: Map<string, number>;
  /** Requests with wrong credentials, or of users without the stream. */
  denied = 0;
  readonly #log: Log;
  readonly #limit = new LogLimit();

  /** @throws RTSP_PASSWORD, RTSP_TLS, RTSP_PORT_IN_USE, RTSP_BIND */
  constructor(config: RtspConfig, log: Log) {
    const { host, port, maxClients, transports, sessionTimeoutMs, users, tls } = config;
    this.#log = log;
    this.dropped = new Map([['slow', 0], ['silent', 0]]);
    this.server = createRtspServer(
      {
        host,
        port,
        maxClients,
        transports,
        sessionTimeoutMs,
        users: users.map(({ name, passwordFile, mounts }) => ({ name, password: readPassword(name, passwordFile), mounts })),
        tls: tls && readCertificate(tls.certFile, tls.keyFile),
      },
      (event) => {
        this.#hear(event);
      },
    );
    this.address = `${tls ? 'rtsps' : 'rtsp'}://${hostPort(host, this.server.port)}`;
  }

  #hear(event: RtspServerEvent): void {
    const { peer, path } = event;
    if (event.type === 'dropped') {
      const { reason } = event;
      this.dropped.set(reason, (this.dropped.get(reason) ?? 0) + 1);
      const what = reason === 'slow' ? 'it did not take what it was sent' : 'nothing was heard of it';
      this.#log.warn({ peer, path, reason }, `RTSP player disconnected: ${what}`);
      return;
    }
    this.denied++;
    const skipped = this.#limit.take(peer);
    if (skipped !== null) this.#log.warn({ peer, path, skipped }, 'RTSP player denied: wrong credentials, or not a user of this stream');
  }
}
