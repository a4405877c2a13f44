import { expect, test } from 'vitest';
import { EventRule, type RuleVerdict } from '../../../../services/sink/events/event_rule.js';
import { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { parseConfig } from '../../../../lib/config.js';

/** A rule as the configuration has it, and a clock of tenths of a second. */
function rig(rule: string): (seen: readonly Partial<Detection>[] | null, tenths?: number) => RuleVerdict {
  const config = parseConfig(`streams: {gate: {source: /c.mp4, events: {enabled: true, rules: [{name: r, ${rule}}]}}}`, 'f.yaml', {});
  const [one] = config.streams[0]?.events.rules ?? [];
  if (!one) throw new Error('no rule');
  const matcher = new EventRule(one);
  let nowMs = 0;
  return (seen, tenths = 1) => {
    let verdict: RuleVerdict = null;
    for (let n = 0; n < tenths; n++) {
      nowMs += 100;
      const status = seen === null ? InferenceStatus.INFERENCE_STATUS_SKIPPED : InferenceStatus.INFERENCE_STATUS_INFERRED;
      verdict = matcher.see(DetectionRecord.fromPartial({ status, detections: (seen ?? []).map((d) => Detection.fromPartial(d)) }), nowMs);
    }
    return verdict;
  };
}

const person: Partial<Detection> = { label: 'person', confidence: 0.6 };
const car: Partial<Detection> = { label: 'car', confidence: 0.9, attributes: [{ model: 'colour', classId: 1, label: 'Red', confidence: 0.8 }] };

test('an event begins with the frame in which the rule has held for its time, and once', () => {
  const see = rig('labels: [Person], for: 1s');
  expect(see([person], 10)).toBe(null);
  expect(see([person])).toBe('begins');
  expect(see([person], 50)).toBe('holds');
});

test('a lapse of a second is passed over; a longer one ends it, and the next event waits for the pause', () => {
  const see = rig('labels: [person], for: 300ms, pause: 5s');
  see([person], 2);
  expect(see([], 10)).toBe(null);
  // The lapse counts as time in which it held.
  expect(see([person])).toBe('begins');
  expect(see([], 10)).toBe('misses');
  expect(see([person])).toBe('holds');
  expect(see([], 11)).toBe('misses');
  expect(see([], 1)).toBe(null);
  expect(see([person], 35)).toBe(null);
  expect(see([person], 4)).toBe('begins');
});

test('frames that nobody has looked at change nothing', () => {
  const see = rig('labels: [person], for: 1s');
  expect(see([person])).toBe(null);
  expect(see(null, 100)).toBe(null);
  expect(see([person])).toBe('begins');
  expect(see(null, 100)).toBe(null);
  expect(see([person])).toBe('holds');
});

test.each<[string, Partial<Detection>[], boolean]>([
  ['labels: [person]', [person], true],
  ['labels: [person]', [car], false],
  ['labels: []', [car], true],
  ['labels: [person, car], at_least: 2', [person, car], true],
  ['labels: [person], at_least: 2', [person, car], false],
  ['labels: [person], min_confidence: 0.6', [person], true],
  ['labels: [person], min_confidence: 0.61', [person], false],
  ['attributes: [red, blue]', [car], true],
  ['attributes: [blue]', [car], false],
  ['labels: [person]', [{ ...person, predicted: true }], false],
  ['labels: [face]', [{ ...person, parts: [Detection.fromPartial({ label: 'face', confidence: 0.5 })] }], true],
  ['labels: [person]', [], false],
])('%s: %#', (rule, seen, holds) => {
  expect(rig(rule)(seen)).toBe(holds ? 'begins' : null);
});
