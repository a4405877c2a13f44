import { closest } from '../../lib/config/closest.js';
import { producerOf } from '../../lib/config/source_uri.js';
import type { StreamConfig } from '../../lib/config.js';
import { FramebusError } from '../../lib/errors.js';
import {
  fromStreamSettings,
  isLiveField,
  LIVE_FIELDS,
  settingProblems,
  withFields,
  type LiveField,
  type LiveSettings,
} from '../../lib/stream_settings.js';
import type { ModelManifest } from '../../models/manifest.js';
import { checkStreamLabels } from '../../models/stream_labels.js';
import type { StreamSettings } from '#proto/framebus/stream/v1/stream_settings.js';

/** What an update of a stream asks for. */
export interface AskedChange {
  settings: StreamSettings | undefined;
  /** Names of the settings that are meant. */
  fields: readonly string[];
}

/** Settings that only whoever sends the frames can change. */
const SENDER_FIELDS: readonly LiveField[] = ['model', 'interval'];

const wrong = (text: string, remedy: string): FramebusError => new FramebusError('OPTION_INVALID', text, { remedy });

/** The fields that an update names. Throws OPTION_INVALID. */
export function askedFields(fields: readonly string[]): LiveField[] {
  const known = LIVE_FIELDS.join(', ');
  if (fields.length === 0) throw wrong('update_mask: names no setting', `Name those that are to be changed: ${known}.`);
  for (const name of fields) {
    if (isLiveField(name)) continue;
    const meant = closest(name, LIVE_FIELDS);
    const hint = meant === undefined ? '' : ` (did you mean "${meant}"?)`;
    throw wrong(`update_mask: "${name}" is no setting that can be changed while a stream runs${hint}`, `Use some of: ${known}.`);
  }
  return LIVE_FIELDS.filter((field) => fields.includes(field));
}

/**
 * The settings after an update, checked as the configuration file is.
 *
 * @param current what is wanted of the stream now
 * @param findModel manifest that serves a name; throws MODEL_NOT_FOUND, MODEL_INVALID
 * @throws OPTION_INVALID, and what `findModel` throws
 */
export async function checkedSettings(
  config: StreamConfig,
  current: LiveSettings,
  asked: AskedChange,
  findModel: (name: string) => Promise<ModelManifest>,
): Promise<{ fields: LiveField[]; settings: LiveSettings }> {
  const fields = askedFields(asked.fields);
  if (asked.settings === undefined) throw wrong('settings: are missing', 'Give the new values.');
  const values = fromStreamSettings(asked.settings);
  const object = `streams.${config.id}`;
  const problems = settingProblems(values, fields);
  if (problems.length > 0) {
    throw wrong(problems.map(({ text }) => `${object}.${text}`).join('; '), 'Correct the values; framebus.example.yaml explains every key.');
  }
  const sent = fields.filter((field) => SENDER_FIELDS.includes(field));
  if (sent.length > 0 && producerOf(config.source) !== null) {
    throw wrong(`${object}.${sent.join(', ')}: the frames are published by a program of its own`, 'Change it in that program.');
  }
  const settings = withFields(current, fields, values);
  const namesLabels = fields.some((field) => field === 'model' || field === 'labels' || field === 'thresholds');
  if (settings.model !== null && namesLabels) {
    checkStreamLabels(await findModel(settings.model), object, settings, 'OPTION_INVALID');
  }
  return { fields, settings };
}
