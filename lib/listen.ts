import { codeOf, FramebusError, messageOf } from './errors.js';

/** Where something listens, and which key of the configuration says so. */
export interface ListenAddress {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** Key of the configuration, for messages, for example "sink.http". */
  key: string;
  /** The port is a wish: when it is in use a free one is taken instead, and this is told which. */
  onOtherPort?: (port: number) => void;
}

/**
 * Listens with `listen`, on the address's port or where that will do on a free one, and resolves
 * to the port. @throws what `listen` throws
 */
export async function listenAt(
  { port, onOtherPort }: ListenAddress,
  listen: (port: number) => Promise<number>,
): Promise<number> {
  try {
    return await listen(port);
  } catch (error) {
    if (onOtherPort === undefined || codeOf(error) !== 'PORT_IN_USE') throw error;
    const other = await listen(0);
    onOtherPort(other);
    return other;
  }
}

/** What a failed `listen` means in words of the configuration. */
export function listenError(error: unknown, { host, port, key }: ListenAddress): FramebusError {
  const text = `${codeOf(error) ?? ''} ${messageOf(error)}`;
  if (text.includes('EADDRINUSE')) {
    return new FramebusError('PORT_IN_USE', `${key}.port: ${host}:${port} is in use by another program`, {
      cause: error,
      remedy: `Stop that program, or set ${key}.port to another port (0 takes a free one).`,
    });
  }
  if (text.includes('EACCES')) {
    return new FramebusError('PORT_FORBIDDEN', `${key}.port: this user may not listen on port ${port}`, { cause: error });
  }
  if (/EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN|Name resolution failed/.test(text)) {
    return new FramebusError('ADDRESS_UNUSABLE', `${key}.host: ${host} is no address of this machine`, { cause: error });
  }
  return new FramebusError('INTERNAL', `${key}: listening on ${host}:${port} failed: ${messageOf(error)}`, { cause: error });
}

/** host:port, an IPv6 host in brackets. */
export function hostPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
