import { InvalidArgumentError } from 'commander';

const LARGEST = 2n ** 64n - 1n;

/** One more track id of the command line. */
export function collectTrackId(text: string, before: bigint[] = []): bigint[] {
  const id = /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
  if (id > 0n && id <= LARGEST) return [...before, id];
  throw new InvalidArgumentError('Give the number of a track, as a line of watch has it.');
}
