import type { Config } from '../../lib/config.js';
import { describeError, messageOf, toFramebusError } from '../../lib/errors.js';
import { connectNatsOnce, ensureFrameStreams } from '../../lib/nats.js';
import { redactUrl } from '../../lib/log.js';
import { findProgram } from '../nats_server.js';
import { absent, missing, ok, warning, type Check } from './check.js';
import { firstLine } from './program.js';

const INSTALL = 'apt-get install nats-server';

/** A server that is there, or a binary to start one; one of the two is needed. */
export async function checkNats(config: Config): Promise<Check[]> {
  const binary = findProgram('nats-server');
  const version = binary === undefined ? undefined : await firstLine(binary, ['--version']);
  const { url } = config.nats;
  const binaryCheck =
    version === undefined
      ? (url === 'embedded' ? missing : absent)('NATS', 'nats-server', 'not installed', INSTALL)
      : ok('NATS', 'nats-server', version);
  return url === 'embedded' ? [binaryCheck] : [binaryCheck, await checkServer(url, version !== undefined)];
}

async function checkServer(url: string, hasBinary: boolean): Promise<Check> {
  const name = redactUrl(url);
  try {
    const nats = await connectNatsOnce(url, 'framebus doctor');
    try {
      await ensureFrameStreams(nats);
      return ok('NATS', name, `reachable, version ${nats.info?.version ?? 'unknown'}, with JetStream`);
    } finally {
      await nats.close();
    }
  } catch (error) {
    const { code, remedy } = toFramebusError(error);
    if (code === 'NATS_UNREACHABLE' && hasBinary) {
      return warning('NATS', name, messageOf(error), 'Start it with "nats-server -js", or use "framebus up --nats embedded".');
    }
    return missing('NATS', name, code === 'INTERNAL' ? describeError(error) : messageOf(error), remedy);
  }
}
