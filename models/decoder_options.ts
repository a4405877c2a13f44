import path from 'node:path';
import type { DecoderSection } from './decoder_schema.js';

/** What a model is for. */
export type ModelTask = 'detect' | 'classify' | 'segment' | 'raw';

type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
/** The same keys as in YAML, written as in TypeScript; `classes` is `ModelManifest.classes`. */
type CamelKeys<T> = T extends unknown ? { [K in Exclude<keyof T, 'classes'> as Camel<K & string>]: T[K] } : never;

/** A decoder and its options; what each means is said in decoder_schema.ts. `module` is an absolute path. */
export type DecoderOptions = CamelKeys<DecoderSection>;
export type DecoderKind = DecoderOptions['kind'];
export type DecoderOptionsOf<K extends DecoderKind> = Extract<DecoderOptions, { kind: K }>;

/** Decoders of models that suppress, or need no suppression. */
const SUPPRESSED: ReadonlySet<DecoderKind> = new Set([
  'yolo-e2e',
  'yolo-nas',
  'rtdetr',
  'rtdetr-raw',
  'rtdetr-ultralytics',
  'rfdetr',
  'ssd-tf',
  'ssd-openvino',
  'efficient-nms',
] as const);

/** Whether boxes of this decoder overlap no more than the model wants. */
export const isSuppressed = (kind: DecoderKind): boolean => SUPPRESSED.has(kind);

/** The task that a decoder is for; null: any. */
export function taskOf(kind: DecoderKind): ModelTask | null {
  switch (kind) {
    case 'classification':
      return 'classify';
    case 'segmentation':
      return 'segment';
    case 'raw':
      return 'raw';
    case 'module':
      return null;
    default:
      return 'detect';
  }
}

/** @param manifestFile absolute path of the manifest */
export function toDecoderOptions(section: DecoderSection, manifestFile: string): DecoderOptions {
  const entries = Object.entries(section).filter(([key]) => key !== 'classes');
  const options = Object.fromEntries(entries.map(([key, value]) => [toCamel(key), value])) as DecoderOptions;
  return options.kind === 'module' ? { ...options, module: path.resolve(path.dirname(manifestFile), options.module) } : options;
}

const toCamel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
