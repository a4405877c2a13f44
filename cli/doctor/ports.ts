import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from '../../lib/config.js';
import { toFramebusError } from '../../lib/errors.js';
import { hostPort, listenError, type ListenAddress } from '../../lib/listen.js';
import { ok, warning, type Check } from './check.js';

/** Whether each address of the configuration can be listened on now. */
export async function checkPorts(config: Config): Promise<Check[]> {
  const addresses: ListenAddress[] = [
    { ...config.ingest.http, key: 'ingest.http' },
    { ...config.infer.http, key: 'infer.http' },
    { ...config.sink.http, key: 'sink.http' },
    { ...config.sink.grpc, key: 'sink.grpc' },
    { ...config.sink.rtsp, key: 'sink.rtsp' },
  ];
  return Promise.all(addresses.map(checkPort));
}

async function checkPort(address: ListenAddress): Promise<Check> {
  const name = `${address.key} ${hostPort(address.host, address.port)}`;
  const server = createServer().listen(address.port, address.host);
  try {
    await once(server, 'listening');
    return ok('addresses', name, address.port === 0 ? 'takes a free port' : 'free');
  } catch (error) {
    const { message, remedy, code } = toFramebusError(listenError(error, address));
    const found = code === 'PORT_IN_USE' ? 'in use, perhaps by framebus itself' : message;
    return warning('addresses', name, found, remedy);
  } finally {
    server.close();
  }
}
