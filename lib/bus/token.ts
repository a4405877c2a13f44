import { readFileSync } from 'node:fs';
import { FramebusError, messageOf } from '../errors.js';

/** Longest token, in bytes: what the attach message has room for. */
const MAX_BYTES = 128;

/**
 * The token that consumers of the frame bus must show, from its file; empty when there is
 * no file to be read. Line ends around it do not count. @throws BUS_TOKEN
 */
export function readToken(file: string | null): string {
  if (file === null) return '';
  let token: string;
  try {
    token = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new FramebusError('BUS_TOKEN', `bus.token_file: ${messageOf(error)}`, { cause: error });
  }
  const bytes = Buffer.byteLength(token);
  if (bytes === 0) throw new FramebusError('BUS_TOKEN', `bus.token_file: ${file} is empty`);
  if (bytes > MAX_BYTES) {
    throw new FramebusError('BUS_TOKEN', `bus.token_file: ${file} has ${String(bytes)} bytes; at most ${String(MAX_BYTES)}`);
  }
  return token;
}
