import { describe, expect, it } from 'vitest';
import { addProblem, outcome, summary } from '../../../scripts/suites/outcome.mjs';

describe('summary', () => {
  it('closes with the sums alone on the last line', () => {
    const parts = [
      outcome('unit', { passed: 40, skipped: 2 }),
      outcome('e2e', { passed: 3, failed: 1, skipped: 1 }),
    ];
    const { text, failed } = summary(parts);
    expect(text.split('\n').at(-1)).toBe('43 passed, 1 failed, 3 skipped');
    expect(failed).toBe(1);
  });

  it('counts and tells what failed beside single tests', () => {
    const crashed = outcome('C++', { passed: 5 });
    addProblem(crashed, 'lease_test: ended by SIGSEGV');
    const { text, failed } = summary([crashed]);
    expect(failed).toBe(1);
    expect(text).toContain('C++: lease_test: ended by SIGSEGV');
    expect(text.split('\n').at(-1)).toBe('5 passed, 1 failed, 0 skipped');
  });
});
