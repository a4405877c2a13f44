import { z } from 'zod';
import type { EncodeOptions } from '../../native/contract.js';
import { integer, name, show } from './fields.js';

const MAX_OUTPUTS = 8;

const pictureWidth = integer(64, 7680).refine((value) => value % 2 === 0, {
  error: (issue) => `must be even, is ${show(issue.input)}`,
});

/** A further output of a stream, as people write it. */
const output = z.strictObject({
  name,
  draw: z.boolean().default(false),
  width: pictureWidth.nullable().default(null),
  bitrate_kbps: integer(50, 200_000).nullable().default(null),
});

export const outputs = z.array(output).refine((list) => list.length <= MAX_OUTPUTS, {
  error: `must be at most ${MAX_OUTPUTS}: each is encoded by itself`,
});

/** Pictures of a stream beside the annotated ones, encoded by themselves; see docs/outputs.md. */
export interface OutputConfig {
  /** RTSP serves it as <stream>/<name>. */
  readonly name: string;
  /** false: nothing is drawn; what is to be concealed is so all the same. */
  readonly draw: boolean;
  /** Pixels, even; null: the frames' own size. */
  readonly width: number | null;
  /** null: that of sink.encode. */
  readonly bitrateKbps: number | null;
}

export const outputConfigs = (written: z.infer<typeof outputs>): OutputConfig[] =>
  written.map(({ bitrate_kbps: bitrateKbps, ...rest }) => ({ ...rest, bitrateKbps }));

/** How an output of its own bitrate is encoded; with vbr the limit stays in proportion. */
export function outputEncode(encode: Readonly<EncodeOptions>, { bitrateKbps }: Pick<OutputConfig, 'bitrateKbps'>): Readonly<EncodeOptions> {
  if (bitrateKbps === null) return encode;
  const maxBitrateKbps = Math.round((encode.maxBitrateKbps * bitrateKbps) / encode.bitrateKbps);
  return { ...encode, bitrateKbps, maxBitrateKbps };
}
