import { z } from 'zod';
import { byteSize, decimal, duration, folderBelow, integer, name, section, text } from './fields.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What a rule can save. */
export const SAVED = ['clip', 'snapshot', 'clean_snapshot', 'metadata'] as const;

const rule = z.strictObject({
  name,
  labels: z.array(text).default([]),
  min_confidence: decimal(0, 1).default(0),
  attributes: z.array(text).default([]),
  at_least: integer(1, 1_000).default(1),
  for: duration(0, HOUR).default(0),
  pause: duration(SECOND, DAY).default(10 * SECOND),
  save: z.array(z.enum(SAVED)).refine((list) => list.length > 0, { error: `must name at least one of ${SAVED.join(', ')}` }).default(['clip']),
});

const keys = {
  enabled: z.boolean(),
  folder: folderBelow,
  pre_roll: duration(0, MINUTE),
  post_roll: duration(0, HOUR),
  max_length: duration(SECOND, DAY),
  cache: byteSize(2 ** 20, 2 ** 32).refine((bytes) => bytes > 0, { error: 'must be 1MiB or more' }),
  keep: duration(0, 3650 * DAY),
  rules: z.array(rule),
};

/** The section `events` of `defaults`. */
export const eventsDefaults = section({
  enabled: keys.enabled.default(false),
  folder: keys.folder.default('{stream}/events'),
  pre_roll: keys.pre_roll.default(5 * SECOND),
  post_roll: keys.post_roll.default(5 * SECOND),
  max_length: keys.max_length.default(5 * MINUTE),
  cache: keys.cache.default(2 ** 25),
  keep: keys.keep.default(7 * DAY),
  rules: keys.rules.default([]),
});

/** The section `events` of a stream. */
export const eventsOfStream = section({
  enabled: keys.enabled.optional(),
  folder: keys.folder.optional(),
  pre_roll: keys.pre_roll.optional(),
  post_roll: keys.post_roll.optional(),
  max_length: keys.max_length.optional(),
  cache: keys.cache.optional(),
  keep: keys.keep.optional(),
  rules: keys.rules.optional(),
});

/** What is recorded around events, and what starts them; see docs/events.md. */
export interface EventsConfig {
  readonly enabled: boolean;
  /** Below the root of the recordings. */
  readonly folder: string;
  /** A clip begins so long before its event. */
  readonly preRollMs: number;
  /** A clip ends so long after its event. */
  readonly postRollMs: number;
  /** An event ends after so long; a clip takes up further ones for so long. */
  readonly maxLengthMs: number;
  /** Of encoded pictures and their lines in memory. */
  readonly cacheBytes: number;
  /** Older files are deleted; 0: none is. */
  readonly keepMs: number;
  readonly rules: readonly RuleConfig[];
}

/** What starts an event by itself. */
export interface RuleConfig {
  readonly name: string;
  /** Of objects and their parts, whatever their case; empty: any. */
  readonly labels: readonly string[];
  readonly minConfidence: number;
  /** Labels by secondary models, one of which an object must have; empty: any. */
  readonly attributes: readonly string[];
  /** Objects that must be there together … */
  readonly atLeast: number;
  /** … for so long. */
  readonly forMs: number;
  /** After an event of the rule, the next one comes so much later at the earliest. */
  readonly pauseMs: number;
  readonly save: readonly (typeof SAVED)[number][];
}

type EventsFile = z.infer<typeof eventsDefaults>;
type EventsOfStreamFile = z.infer<typeof eventsOfStream>;

/** What holds for a stream. */
export function eventsConfig(id: string, defaults: EventsFile, stream: EventsOfStreamFile): EventsConfig {
  return {
    enabled: stream.enabled ?? defaults.enabled,
    folder: (stream.folder ?? defaults.folder).replaceAll('{stream}', id),
    preRollMs: stream.pre_roll ?? defaults.pre_roll,
    postRollMs: stream.post_roll ?? defaults.post_roll,
    maxLengthMs: stream.max_length ?? defaults.max_length,
    cacheBytes: stream.cache ?? defaults.cache,
    keepMs: stream.keep ?? defaults.keep,
    rules: (stream.rules ?? defaults.rules).map((one) => ({
      name: one.name,
      labels: one.labels,
      minConfidence: one.min_confidence,
      attributes: one.attributes,
      atLeast: one.at_least,
      forMs: one.for,
      pauseMs: one.pause,
      save: one.save,
    })),
  };
}
