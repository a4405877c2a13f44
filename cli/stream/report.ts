import type { StreamInfo } from '#proto/framebus/stream/v1/stream_service.js';
import { fromStreamSettings, LIVE_FIELDS, type LiveField, type LiveSettings } from '../../lib/stream_settings.js';
import { table } from '../status/table.js';

const HEADINGS: Readonly<Record<LiveField, string>> = {
  model: 'model',
  interval: 'interval',
  labels: 'labels',
  min_confidence: 'min confidence',
  thresholds: 'thresholds',
  region: 'region',
};

/** What stands beside a setting that differs from the configuration. */
const CHANGED = '*';

/** Settings of several streams, a line each. */
export function streamTable(streams: readonly StreamInfo[]): string {
  const head = ['stream', ...LIVE_FIELDS.map((field) => HEADINGS[field])];
  const rows = streams.map((stream) => [stream.streamId, ...LIVE_FIELDS.map((field) => cell(stream, field))]);
  const note = streams.some(({ changed }) => changed.length > 0) ? `\n${CHANGED} changed while running` : '';
  return `${table([head, ...rows], new Set([2]))}${note}`;
}

/** Settings of one stream, a line each. */
export function streamReport(stream: StreamInfo): string {
  const lines = LIVE_FIELDS.map((field) => [HEADINGS[field], words(settingsOf(stream), field), stream.changed.includes(field) ? 'changed while running' : '']);
  return `${stream.streamId}, revision ${String(stream.revision)}\n${table(lines.map(([name = '', ...rest]) => [`  ${name}`, ...rest]))}`;
}

/** For programs: every setting present, null for none. */
export function streamJson(stream: StreamInfo): unknown {
  const { streamId, changed, revision } = stream;
  return { streamId, settings: settingsOf(stream), changed, revision: Number(revision) };
}

function cell(stream: StreamInfo, field: LiveField): string {
  return `${words(settingsOf(stream), field)}${stream.changed.includes(field) ? ` ${CHANGED}` : ''}`;
}

function settingsOf({ settings }: StreamInfo): LiveSettings {
  return fromStreamSettings(settings ?? { model: '', interval: 0, labels: [], thresholds: {}, region: undefined });
}

function words({ model, interval, labels, minConfidence, thresholds, region }: LiveSettings, field: LiveField): string {
  switch (field) {
    case 'model':
      return model ?? 'none';
    case 'interval':
      return String(interval);
    case 'labels':
      return labels.length === 0 ? 'all' : labels.join(', ');
    case 'min_confidence':
      return minConfidence === null ? 'the model’s' : String(minConfidence);
    case 'thresholds': {
      const entries = Object.entries(thresholds).map(([label, value]) => `${label}=${value}`);
      return entries.length === 0 ? '–' : entries.join(', ');
    }
    case 'region':
      return region === null ? 'whole frame' : `${region.x},${region.y},${region.width},${region.height}`;
  }
}
