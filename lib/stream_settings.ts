import type { DesiredStream, StreamSettings } from '#proto/framebus/stream/v1/stream_settings.js';
import { concealProblem } from './config/concealed_labels.js';
import type { RegionConfig, StreamConfig } from './config/resolve.js';
import { issueText, join } from './config/problem.js';
import { liveStream } from './config/schema.js';
import type { DesiredEntry, DesiredState, DesiredWatch } from './desired_state.js';
import { messageOf } from './errors.js';
import type { Log } from './log.js';
import { decodeDesiredStream } from './messages.js';
import { ALL_DESIRED_STREAMS, nameOfKey } from './subjects.js';

/** What of a stream can be changed while it runs. */
export interface LiveSettings {
  /** Name of the served model; null: nobody looks. */
  readonly model: string | null;
  /** Frames to leave out after each one that is looked at. */
  readonly interval: number;
  /** Labels to keep; empty keeps all. */
  readonly labels: readonly string[];
  /** Lowest confidence to keep; null leaves it to the model. */
  readonly minConfidence: number | null;
  /** Lowest confidence to keep, by label; counts more than `minConfidence`. */
  readonly thresholds: Readonly<Record<string, number>>;
  /** What the network is shown; null: the whole frame. */
  readonly region: RegionConfig | null;
}

/** Names of the settings in messages and update masks; the keys of the configuration. */
export const LIVE_FIELDS = ['model', 'interval', 'labels', 'min_confidence', 'thresholds', 'region'] as const;
export type LiveField = (typeof LIVE_FIELDS)[number];

export const isLiveField = (name: string): name is LiveField => (LIVE_FIELDS as readonly string[]).includes(name);

const PROPERTY: Readonly<Record<LiveField, keyof LiveSettings>> = {
  model: 'model',
  interval: 'interval',
  labels: 'labels',
  min_confidence: 'minConfidence',
  thresholds: 'thresholds',
  region: 'region',
};

/** What the configuration says. */
export function configuredSettings(stream: LiveSettings): LiveSettings {
  const { model, interval, labels, minConfidence, thresholds, region } = stream;
  return { model, interval, labels, minConfidence, thresholds, region };
}

/** Settings of which these fields are taken from others. */
export function withFields(base: LiveSettings, fields: readonly LiveField[], values: LiveSettings): LiveSettings {
  const taken = Object.fromEntries(fields.map((field) => [PROPERTY[field], values[PROPERTY[field]]]));
  return { ...base, ...taken };
}

/** Fields in which two settings differ. */
export function differingFields(a: LiveSettings, b: LiveSettings): LiveField[] {
  return LIVE_FIELDS.filter((field) => {
    const [one, other] = [a[PROPERTY[field]], b[PROPERTY[field]]];
    return canonical(one) !== canonical(other);
  });
}

/** As text that does not depend on the order of keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Settings as messages carry them. */
export function toStreamSettings(settings: LiveSettings): StreamSettings {
  const { model, interval, labels, minConfidence, thresholds, region } = settings;
  return {
    model: model ?? '',
    interval,
    labels: [...labels],
    minConfidence: minConfidence ?? undefined,
    thresholds: { ...thresholds },
    region: region === null ? undefined : { ...region },
  };
}

/** Settings from a message; not checked. */
export function fromStreamSettings(settings: StreamSettings): LiveSettings {
  const { model, interval, labels, minConfidence, thresholds, region } = settings;
  return {
    model: model === '' ? null : model,
    interval,
    labels,
    minConfidence: minConfidence === undefined ? null : shortest(minConfidence),
    thresholds: Object.fromEntries(Object.entries(thresholds).map(([label, value]) => [label, shortest(value)])),
    region: region ?? null,
  };
}

/** The number that somebody wrote, of the nearest 32-bit one that a message carries. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** What is wrong with the values of some fields, checked as the configuration is: "interval: must be …". */
export function settingProblems(settings: LiveSettings, fields: readonly LiveField[]): { field: LiveField; text: string }[] {
  return fields.flatMap((field) => {
    const parsed = liveStream[field].safeParse(settings[PROPERTY[field]], { reportInput: true });
    if (parsed.success) return [];
    return parsed.error.issues.map((issue) => ({ field, text: `${join([field, ...issue.path])}: ${issueText(issue)}` }));
  });
}

/** What is not changed while a stream runs, and says which labels must be kept. */
export type ConcealingStream = Pick<StreamConfig, 'secondary' | 'osd'>;

/** What is wrong with the labels of a stream that conceals something. */
export function keptProblems({ secondary, osd }: ConcealingStream, { labels }: LiveSettings): { field: LiveField; text: string }[] {
  const problem = concealProblem({ kept: labels, secondary, concealed: osd.conceal.labels });
  return problem === null ? [] : [{ field: 'labels', text: `labels: ${problem}` }];
}

/** A stream's settings at a time. */
export interface StreamChange {
  readonly streamId: string;
  /** What holds from now on. */
  readonly settings: LiveSettings;
  /** What was changed while the stream ran; null: nothing, the configuration counts. */
  readonly desired: DesiredStream | null;
  /** Of what was changed; see DesiredEntry. */
  readonly revision: number;
}

/**
 * The settings of a stream: those of the configuration, but for the fields that were
 * changed. Fields that this version does not know, or whose values cannot be, are left
 * out with a warning.
 *
 * @param warn is told what was left out
 */
export function effectiveSettings(
  configured: LiveSettings & ConcealingStream,
  desired: Pick<DesiredStream, 'fields' | 'settings'> | null,
  warn: (text: string) => void,
): LiveSettings {
  const base = configuredSettings(configured);
  if (desired?.settings === undefined) return base;
  const values = fromStreamSettings(desired.settings);
  const unknown = desired.fields.filter((name) => !isLiveField(name));
  if (unknown.length > 0) warn(`unknown settings: ${unknown.join(', ')}`);
  const known = desired.fields.filter(isLiveField);
  const problems = [...settingProblems(values, known), ...(known.includes('labels') ? keptProblems(configured, values) : [])];
  for (const { text } of problems) warn(text);
  const wrong = new Set(problems.map(({ field }) => field));
  return withFields(
    base,
    known.filter((field) => !wrong.has(field)),
    values,
  );
}

/** Reads what is stored under a stream's key; what cannot be read is left out with a warning. */
export function readStreamChange(configured: StreamConfig, entry: DesiredEntry, log: Log): StreamChange {
  const { id: streamId } = configured;
  const warn = (text: string): void => {
    log.warn({ stream: streamId, key: entry.key, revision: entry.revision }, `stored settings are left out: ${text}`);
  };
  let desired: DesiredStream | null = null;
  try {
    desired = entry.value === null ? null : decodeDesiredStream(entry.value);
  } catch (error) {
    warn(messageOf(error));
  }
  const settings = effectiveSettings(configured, desired, warn);
  return { streamId, settings, desired, revision: entry.revision };
}

/**
 * Follows the settings of the configured streams. The listener is told of the streams
 * that were changed before `initial` resolves, and of every change from then on, each
 * stream's in order; streams that it is told nothing of are as configured.
 *
 * A change of the model is told when it is wanted, not when it has happened: ingest sends
 * frames to the model before until a worker has the new one. So a worker keeps a model
 * that no stream wants any more until frames have stopped coming for it.
 */
export function watchStreamSettings(
  state: Pick<DesiredState, 'watch'>,
  streams: readonly StreamConfig[],
  listener: (change: StreamChange) => void,
  log: Log,
): DesiredWatch {
  const byId = new Map(streams.map((stream) => [stream.id, stream]));
  return state.watch(ALL_DESIRED_STREAMS, (entry) => {
    const configured = byId.get(nameOfKey(entry.key));
    // Of a stream that this configuration does not have, or not any more.
    if (configured !== undefined) listener(readStreamChange(configured, entry, log));
  });
}
