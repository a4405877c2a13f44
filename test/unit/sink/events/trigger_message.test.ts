import { expect, test } from 'vitest';
import { codeOf, messageOf } from '../../../../lib/errors.js';
import { parseTrigger } from '../../../../services/sink/events/trigger_message.js';
import { TriggerAction, TriggerMessage } from '#proto/framebus/recording/v1/trigger.js';

const parse = (text: string): TriggerMessage => parseTrigger(Buffer.from(text));

function refusal(text: string | Uint8Array): string {
  try {
    parseTrigger(Buffer.from(text));
  } catch (error) {
    return `${codeOf(error) ?? ''} ${messageOf(error)}`;
  }
  return 'taken';
}

test('names may be in both of the forms that protobuf has', () => {
  const whole = { schemaVersion: 1, action: TriggerAction.TRIGGER_ACTION_START, event: 'door', reason: 'opened', preRollMs: 0, durationMs: 2_000 };
  expect(parse('{"schemaVersion":1,"action":"TRIGGER_ACTION_START","event":"door","reason":"opened","preRollMs":0,"durationMs":2000}')).toEqual(whole);
  expect(parse('{"schema_version":1,"action":"TRIGGER_ACTION_START","event":"door","reason":"opened","pre_roll_ms":0,"duration_ms":2000}')).toEqual(whole);
  const shortest = parse('{"schemaVersion":1,"action":"TRIGGER_ACTION_STOP","event":"door"}');
  expect(shortest).toEqual({ schemaVersion: 1, action: TriggerAction.TRIGGER_ACTION_STOP, event: 'door', reason: '', durationMs: 0 });
  // What a program of ours would send.
  expect(parse(JSON.stringify(TriggerMessage.toJSON(shortest)))).toEqual(shortest);
});

test('a newer version is told from nonsense', () => {
  expect(refusal('{"schema_version":2,"verb":"START"}')).toBe('MESSAGE_VERSION TriggerMessage: schema version 2, this program knows 1');
});

test.each([
  ['', /JSON/],
  ['nonsense', /JSON/],
  [new Uint8Array([0x22, 0xff, 0x22]), /encoded data/],
  ['null', /./],
  ['[]', /./],
  ['{}', /schemaVersion/],
  ['{"schemaVersion":"1","action":"TRIGGER_ACTION_START","event":"door"}', /schemaVersion/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_UNSPECIFIED","event":"door"}', /action/],
  ['{"schemaVersion":1,"action":"START","event":"door"}', /action/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_START"}', /event/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_START","event":"../door"}', /event/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_START","event":"door","durationMs":-1}', /durationMs/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_START","event":"door","durationMs":1.5}', /durationMs/],
  ['{"schemaVersion":1,"action":"TRIGGER_ACTION_START","event":"door","duration":5}', /duration/],
])('%s is refused', (text, cause) => {
  const said = refusal(text);
  expect(said).toMatch(/^MESSAGE_MALFORMED TriggerMessage: /);
  expect(said).toMatch(cause);
});
