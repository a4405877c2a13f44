import { onTestFinished } from 'vitest';
import { NatsServer, type NatsServerOptions } from '../../cli/nats_server.js';
import { connectNats, connectNatsOnce, type NatsConnection } from '../../lib/nats.js';
import { captureLog } from './log.js';

/** A real nats-server on a free port, ended with the test. */
export async function natsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = await NatsServer.start(options);
  onTestFinished(() => server.close());
  return server;
}

/** As `natsClient`, but it comes back when the server does. */
export async function lastingNatsClient(url: string): Promise<NatsConnection> {
  const nats = await connectNats({ url, name: 'test', log: captureLog().log });
  onTestFinished(() => nats.close());
  return nats;
}

/** A connection to a server, closed with the test. */
export async function natsClient(url: string, name = 'test'): Promise<NatsConnection> {
  const nats = await connectNatsOnce(url, name);
  onTestFinished(() => nats.close());
  return nats;
}
