import { z } from 'zod';
import { FramebusError, messageOf } from '../../../lib/errors.js';
import { NAME, SCHEMA_VERSION } from '../../../lib/subjects.js';
import { TriggerMessage } from '#proto/framebus/recording/v1/trigger.js';

const milliseconds = z.number().int().min(0).max(2 ** 32 - 1);

/** What may stand in it, stricter than protobuf's JSON: what is misspelt must not be passed over. */
const form = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  action: z.enum(['TRIGGER_ACTION_START', 'TRIGGER_ACTION_STOP']),
  event: z.string().regex(NAME),
  reason: z.string().max(500).optional(),
  preRollMs: milliseconds.optional(),
  durationMs: milliseconds.optional(),
});

const camelCase = (key: string): string => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** A trigger from its JSON, names in either of protobuf's forms. Throws MESSAGE_MALFORMED, MESSAGE_VERSION. */
export function parseTrigger(data: Uint8Array): TriggerMessage {
  let raw: unknown;
  try {
    raw = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (error) {
    throw new FramebusError('MESSAGE_MALFORMED', `TriggerMessage: ${messageOf(error)}`, { cause: error });
  }
  if (typeof raw !== 'object' || raw === null) throw new FramebusError('MESSAGE_MALFORMED', 'TriggerMessage: is not an object');
  const fields: Record<string, unknown> = Object.fromEntries(Object.entries(raw).map(([key, value]) => [camelCase(key), value]));
  const { schemaVersion: version } = fields;
  if (typeof version === 'number' && version !== SCHEMA_VERSION) {
    throw new FramebusError('MESSAGE_VERSION', `TriggerMessage: schema version ${version}, this program knows ${SCHEMA_VERSION}`);
  }
  const parsed = form.safeParse(fields);
  if (!parsed.success) {
    const causes = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new FramebusError('MESSAGE_MALFORMED', `TriggerMessage: ${causes.join('; ')}`);
  }
  return TriggerMessage.fromJSON(parsed.data);
}
