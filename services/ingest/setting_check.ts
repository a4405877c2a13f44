import { plainLabel } from '../../lib/config/concealed_labels.js';
import { closest } from '../../lib/config/closest.js';
import { producerOf } from '../../lib/config/source_uri.js';
import type { StreamConfig } from '../../lib/config.js';
import { FramebusError } from '../../lib/errors.js';
import {
  fromStreamSettings,
  isLiveField,
  keptProblems,
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
  const problems = [...settingProblems(values, fields), ...(fields.includes('labels') ? keptProblems(config, values) : [])];
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
  if (fields.includes('model')) await checkConcealed(config, current.model, settings.model, findModel);
  return { fields, settings };
}

/** Another model must find what the one before finds of that which is to be concealed. */
async function checkConcealed(
  { id, osd, secondary }: StreamConfig,
  before: string | null,
  after: string | null,
  findModel: (name: string) => Promise<ModelManifest>,
): Promise<void> {
  const concealed = osd.conceal.labels;
  // Without a look a picture is concealed as a whole; what secondary models find, they find behind any model.
  if (concealed.length === 0 || before === null || after === null || before === after || secondary.length > 0) return;
  const labelsOf = async (name: string): Promise<Set<string>> => new Set([...(await findModel(name)).labels.values()].map(plainLabel));
  const has = await labelsOf(after);
  // A manifest that is there no longer must not hold the stream to it.
  const had = await labelsOf(before).catch(() => new Set<string>());
  const lost = concealed.filter((label) => had.has(plainLabel(label)) && !has.has(plainLabel(label)));
  if (lost.length === 0) return;
  throw wrong(
    `streams.${id}.model: ${after} does not know ${lost.join(', ')}, which osd.conceal.labels names: what is not reported cannot be concealed`,
    'Use a model that does, or "none": then all of the picture is concealed.',
  );
}
