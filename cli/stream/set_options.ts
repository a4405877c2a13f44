import { InvalidArgumentError } from 'commander';
import { FramebusError } from '../../lib/errors.js';
import { isLiveField, type LiveField } from '../../lib/stream_settings.js';
import type { RegionOfInterest, StreamSettings } from '#proto/framebus/stream/v1/stream_settings.js';

/** Options of `framebus stream set`, as commander gives them; false where `--no-…` was given. */
export interface SetOptions {
  model?: string;
  interval?: number;
  labels?: string[] | false;
  minConfidence?: number | false;
  /** Threshold by label; null: the label's own goes. */
  threshold?: ReadonlyMap<string, number | null>;
  /** false: all of them go. */
  thresholds?: false;
  region?: RegionOfInterest | false;
}

/** What an update is to say. */
export interface AskedSettings {
  settings: StreamSettings;
  fields: LiveField[];
}

/**
 * The settings that options name. Throws USAGE when they name none.
 *
 * @param current thresholds that hold now: those that are not named stay
 */
export function askedSettings(options: SetOptions, current: Readonly<Record<string, number>>): AskedSettings {
  const { model, interval, labels, minConfidence, region } = options;
  const asked: Partial<Record<LiveField, true>> = {
    ...(model === undefined ? {} : { model: true }),
    ...(interval === undefined ? {} : { interval: true }),
    ...(labels === undefined ? {} : { labels: true }),
    ...(minConfidence === undefined ? {} : { min_confidence: true }),
    ...(namesThresholds(options) ? { thresholds: true } : {}),
    ...(region === undefined ? {} : { region: true }),
  };
  const fields = Object.keys(asked).filter(isLiveField);
  if (fields.length === 0) {
    throw new FramebusError('USAGE', 'framebus stream set: nothing to change was named', {
      remedy: 'Name it with --model, --interval, --labels, --min-confidence, --threshold or --region; see --help.',
    });
  }
  const settings: StreamSettings = {
    model: model === undefined || model === 'none' ? '' : model,
    interval: interval ?? 0,
    labels: labels === undefined || labels === false ? [] : labels,
    minConfidence: minConfidence === false ? undefined : minConfidence,
    thresholds: thresholdsOf(options, current),
    region: region === false ? undefined : region,
  };
  return { settings, fields };
}

/** Whether thresholds are changed; then those that hold now have to be known. */
export const namesThresholds = ({ threshold, thresholds }: SetOptions): boolean => threshold !== undefined || thresholds === false;

function thresholdsOf({ threshold, thresholds }: SetOptions, current: Readonly<Record<string, number>>): Record<string, number> {
  const kept = new Map<string, number | null>(thresholds === false ? [] : Object.entries(current));
  for (const [label, value] of threshold ?? []) kept.set(label, value);
  return Object.fromEntries([...kept].filter((entry): entry is [string, number] => entry[1] !== null));
}

/** "person,car" */
export function parseLabels(text: string, before: string[] = []): string[] {
  const labels = text.split(',').map((label) => label.trim());
  if (labels.includes('')) throw new InvalidArgumentError('Give labels, separated by commas; --no-labels keeps all.');
  return [...before, ...labels];
}

export function parseInterval(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 10_000) return value;
  throw new InvalidArgumentError('Give a whole number from 0 to 10000.');
}

export function parseConfidence(text: string): number {
  const value = decimal(text);
  if (value !== null) return value;
  throw new InvalidArgumentError('Give a number from 0 to 1.');
}

/** "person=0.5", or "person=none" */
export function parseThreshold(text: string, before: ReadonlyMap<string, number | null> = new Map()): ReadonlyMap<string, number | null> {
  const at = text.lastIndexOf('=');
  const label = text.slice(0, Math.max(0, at)).trim();
  const value = text.slice(at + 1) === 'none' ? null : decimal(text.slice(at + 1));
  if (label === '' || (value === null && !text.endsWith('=none'))) {
    throw new InvalidArgumentError('Give label=number from 0 to 1, for example person=0.5, or label=none.');
  }
  return new Map([...before, [label, value]]);
}

/** "0.5,0,0.5,1" */
export function parseRegion(text: string): RegionOfInterest {
  const [x, y, width, height, ...more] = text.split(',').map(decimal);
  if (more.length === 0 && typeof x === 'number' && typeof y === 'number' && typeof width === 'number' && typeof height === 'number') {
    return { x, y, width, height };
  }
  throw new InvalidArgumentError('Give x,y,width,height in fractions of the frame, for example 0.5,0,0.5,1 for its right half.');
}

/** A number from 0 to 1; null for others. */
function decimal(text: string): number | null {
  const value = Number(text);
  return text.trim() !== '' && value >= 0 && value <= 1 ? value : null;
}
