import { z } from 'zod';
import type { EncodeOptions } from '../../native/contract.js';
import { closest } from './closest.js';
import { integer, name, show, text } from './fields.js';
import { outputEncode } from './outputs.js';

const LEAST_SIDE = 64;
const MOST_SIDE = 7680;
/** A cell is to have so many pixels at least; the addon leaves smaller ones empty. */
const LEAST_CELL = 16;

const side = integer(LEAST_SIDE, MOST_SIDE).refine((value) => value % 2 === 0, {
  error: (issue) => `must be even, is ${show(issue.input)}`,
});

/** One tiled output, as people write it. */
const one = z.strictObject({
  name,
  streams: z.array(text).default([]),
  width: side.default(1280),
  height: side.default(720),
  fps: integer(1, 60).default(10),
  columns: integer(1, 64).nullable().default(null),
  bitrate_kbps: integer(50, 100_000).nullable().default(null),
});

/** The list `sink.tiles`. */
export const tiles = z.array(one).default([]);

/** Many streams in one picture; see docs/tiles.md. */
export interface TilesConfig {
  /** RTSP serves it as /<name>, beside the streams. */
  readonly name: string;
  /** In the order of the cells; empty: all that there are. */
  readonly streams: readonly string[];
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** null: as many as make the pictures largest. */
  readonly columns: number | null;
  readonly encode: Readonly<EncodeOptions>;
}

/** `encode`: how pictures are encoded that say nothing else. */
export function tilesConfigs(written: z.infer<typeof tiles>, encode: Readonly<EncodeOptions>): TilesConfig[] {
  return written.map(({ bitrate_kbps: bitrateKbps, ...rest }) => ({
    ...rest,
    encode: outputEncode(encode, { bitrateKbps }),
  }));
}

/** One tiled output before the schema has seen it. */
type Written = Readonly<Record<string, unknown>>;

/**
 * What is wrong with tiled outputs together with the rest of the file; `refuse` gets the path below
 * `sink.tiles`.
 */
export function tilesConflicts(
  list: unknown,
  streams: readonly string[],
  rateControl: unknown,
  refuse: (path: readonly (string | number)[], message: string) => void,
): void {
  if (!Array.isArray(list)) return;
  const all = list.map((item: unknown): Written => (typeof item === 'object' && item !== null ? (item as Written) : {}));
  const names = all.map((item) => item['name']);
  for (const [i, { name: own, streams: members, width = 1280, columns, bitrate_kbps: bitrate }] of all.entries()) {
    const at = (key: string, message: string): void => {
      refuse([i, key], message);
    };
    if (typeof own === 'string' && streams.includes(own)) at('name', `${own} is the name of a stream; both would be /${own} for players`);
    if (typeof own === 'string' && names.indexOf(own) !== i) at('name', `${own} is there twice`);
    memberProblems(members, streams).forEach((message) => {
      at('streams', message);
    });
    if (typeof columns === 'number' && typeof width === 'number' && width / columns < LEAST_CELL) {
      at('columns', `${columns} columns do not fit into a width of ${width}; at most ${Math.floor(width / LEAST_CELL)} do`);
    }
    if (typeof bitrate === 'number' && rateControl === 'quality') {
      at('bitrate_kbps', 'means nothing with sink.encode.rate_control: quality');
    }
  }
}

function memberProblems(members: unknown, streams: readonly string[]): string[] {
  if (!Array.isArray(members)) return [];
  return members.flatMap((member: unknown, i) => {
    if (typeof member !== 'string') return [];
    if (members.indexOf(member) !== i) return [`${member} is there twice`];
    if (streams.includes(member)) return [];
    const near = closest(member, streams);
    return [`there is no stream ${show(member)}; ${near === undefined ? `there are ${streams.join(', ')}` : `did you mean "${near}"?`}`];
  });
}
