import { z } from 'zod';
import { decimal, duration, integer, section, show, text } from './fields.js';

const MINUTE = 60_000;
const MAX_SHAPES = 64;
const MAX_POINTS = 64;
/** Wider than any picture. */
const MAX_TEXT = 200;

/** A text that is drawn in one line; empty for none. */
const caption = z.string().refine((value) => value.length <= MAX_TEXT && !/[\p{Cc}\p{Cs}]/u.test(value), {
  error: (issue) => `must be one line of at most ${MAX_TEXT} characters, is ${show(issue.input)}`,
});

/** 0xRRGGBB from "#rrggbb". */
const color = z.unknown().transform((value, context) => {
  if (typeof value === 'string' && /^#[0-9a-fA-F]{6}$/.test(value)) return Number.parseInt(value.slice(1), 16);
  // YAML takes an unquoted # for the beginning of a comment.
  context.addIssue({ code: 'custom', message: `must be a colour such as '#ff8000', in quotes, is ${show(value)}` });
  return z.NEVER;
});

/** Points that a shape needs, and how many it may have. */
const POINTS = { line: [2, MAX_POINTS], arrow: [2, MAX_POINTS], circle: [2, 2], polygon: [3, MAX_POINTS] } as const;

const point = z.tuple([decimal(0, 1), decimal(0, 1)], { error: (issue) => `must be [x, y], is ${show(issue.input)}` });

const shape = z
  .strictObject({
    kind: z.enum(['line', 'arrow', 'circle', 'polygon']),
    points: z.array(point),
    color: color.optional(),
    label: caption.default(''),
  })
  .check((context) => {
    const { kind, points } = context.value;
    const [least, most] = POINTS[kind];
    if (points.length >= least && points.length <= most) return;
    const count = least === most ? `${least}` : `${least} to ${most}`;
    context.issues.push({ code: 'custom', path: ['points'], message: `a ${kind} has ${count} points, not ${points.length}`, input: points });
  });

const shapes = z.array(shape).refine((list) => list.length <= MAX_SHAPES, { error: `must be at most ${MAX_SHAPES} shapes` });

const keys = {
  objects: z.boolean(),
  color: z.enum(['class', 'track']),
  label: z.array(z.enum(['name', 'track', 'confidence', 'attributes'])),
  line_width: integer(0, 64),
  font_size: integer(0, 400).refine((px) => px === 0 || px >= 8, { error: (issue) => `must be 0, or from 8 to 400, is ${show(issue.input)}` }),
  trails: duration(0, MINUTE),
  clock: z.boolean(),
  text: caption,
  shapes,
};

const conceal = {
  labels: z.array(text),
  with: z.enum(['blur', 'fill']),
};

/** The section `osd` of `defaults`. */
export const osdDefaults = section({
  objects: keys.objects.default(true),
  color: keys.color.default('class'),
  label: keys.label.default(['name', 'confidence', 'attributes']),
  line_width: keys.line_width.default(0),
  font_size: keys.font_size.default(0),
  trails: keys.trails.default(0),
  clock: keys.clock.default(false),
  text: keys.text.default(''),
  conceal: section({ labels: conceal.labels.default([]), with: conceal.with.default('blur') }),
  shapes: keys.shapes.default([]),
});

/** The section `osd` of a stream. */
export const osdOfStream = section({
  objects: keys.objects.optional(),
  color: keys.color.optional(),
  label: keys.label.optional(),
  line_width: keys.line_width.optional(),
  font_size: keys.font_size.optional(),
  trails: keys.trails.optional(),
  clock: keys.clock.optional(),
  text: keys.text.optional(),
  conceal: section({ labels: conceal.labels.optional(), with: conceal.with.optional() }),
  shapes: keys.shapes.optional(),
});

/** What is drawn on the pictures of a stream; see docs/drawing.md. */
export interface OsdConfig {
  /** Whether boxes, landmarks, masks and labels are drawn; what is to be concealed is, either way. */
  readonly objects: boolean;
  /** What the colour of an object tells. */
  readonly color: 'class' | 'track';
  /** What labels say, in the order of this type. */
  readonly label: readonly ('name' | 'track' | 'confidence' | 'attributes')[];
  /** Pixels; 0: by the size of the picture. */
  readonly lineWidth: number;
  /** Pixels; 0: by the size of the picture. */
  readonly fontSize: number;
  /** How far back the paths of objects are shown; 0: not at all. */
  readonly trailsMs: number;
  /** Whether the time of capture is shown. */
  readonly clock: boolean;
  /** A line of text; empty for none. */
  readonly text: string;
  readonly conceal: ConcealConfig;
  readonly shapes: readonly ShapeConfig[];
}

/** What nobody may recognise. */
export interface ConcealConfig {
  /** Labels of objects and their parts, whatever their case; empty: nothing. */
  readonly labels: readonly string[];
  readonly with: 'blur' | 'fill';
}

/** A figure that is drawn on every picture. */
export interface ShapeConfig {
  readonly kind: 'line' | 'arrow' | 'circle' | 'polygon';
  /** x, y in fractions of the frame. circle: its centre, and a point that it goes through. */
  readonly points: readonly (readonly [number, number])[];
  /** 0xRRGGBB. */
  readonly color: number;
  /** Empty for none. */
  readonly label: string;
}

type OsdFile = z.infer<typeof osdDefaults>;
type OsdOfStreamFile = z.infer<typeof osdOfStream>;

/** Of a shape that names none. */
const SHAPE_COLOR = 0xffffff;

/** What holds for a stream. */
export function osdConfig(defaults: OsdFile, stream: OsdOfStreamFile | null): OsdConfig {
  return {
    objects: stream?.objects ?? defaults.objects,
    color: stream?.color ?? defaults.color,
    label: stream?.label ?? defaults.label,
    lineWidth: stream?.line_width ?? defaults.line_width,
    fontSize: stream?.font_size ?? defaults.font_size,
    trailsMs: stream?.trails ?? defaults.trails,
    clock: stream?.clock ?? defaults.clock,
    text: stream?.text ?? defaults.text,
    conceal: {
      labels: stream?.conceal.labels ?? defaults.conceal.labels,
      with: stream?.conceal.with ?? defaults.conceal.with,
    },
    shapes: (stream?.shapes ?? defaults.shapes).map((one) => ({ ...one, color: one.color ?? SHAPE_COLOR })),
  };
}
