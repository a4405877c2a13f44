import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { resolve } from 'node:path';
import { codeOf, FramebusError } from '../errors.js';
import type { ServiceKind } from '../service.js';

export interface NameWish {
  kind: ServiceKind;
  name: string;
  /** Folder of the bus sockets: the instances that share one must differ in their names. */
  directory: string;
  /** Somebody has asked for exactly this name: another one will not do. */
  exact: boolean;
}

/** What NAME allows. */
const LONGEST_NAME = 64;
/** Instances of one name; more are a mistake. */
const MOST_INSTANCES = 1_000;
/** Names of this process; they are free again when it ends, however it does. */
const held: Server[] = [];

/**
 * Claims a name for this process, on this machine: the wanted one, or, when an instance that
 * lives has it, the first free one of NAME-2, NAME-3 and so on. @throws NAME_IN_USE
 */
export async function claimInstanceName({ kind, name, directory, exact }: NameWish): Promise<string> {
  const bus = createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 32);
  for (let count = 1; count <= (exact ? 1 : MOST_INSTANCES); count++) {
    const candidate = numbered(name, count);
    const claim = await bind(`\0framebus/${bus}/${kind}/${candidate}`);
    if (claim === null) continue;
    held.push(claim);
    return candidate;
  }
  throw new FramebusError('NAME_IN_USE', `${kind} ${name}: another instance on this machine has this name`);
}

function numbered(name: string, count: number): string {
  if (count === 1) return name;
  const suffix = `-${count}`;
  return name.slice(0, LONGEST_NAME - suffix.length) + suffix;
}

/**
 * An abstract unix socket, which is nothing but a name that the kernel keeps for as long as we
 * live: no file is left behind by kill -9, and no folder has to be there yet. null: taken.
 */
async function bind(address: string): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  server.listen(address);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return null;
    throw error;
  }
}
