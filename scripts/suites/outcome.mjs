/** What came of tests, and how it adds up. */

/**
 * @typedef {object} Outcome
 * @property {string} name
 * @property {number} passed
 * @property {number} failed also counts crashes, failing gates and empty suites, one each
 * @property {number} skipped
 * @property {string[]} problems what failed beside single tests, in words
 * @property {boolean} gate passes or fails as a whole; it has no tests to count
 * @property {number} [ms]
 */

/**
 * @param {string} name
 * @param {Partial<Outcome>} [counts]
 * @returns {Outcome}
 */
export function outcome(name, counts = {}) {
  return { name, passed: 0, failed: 0, skipped: 0, problems: [], gate: false, ...counts };
}

/**
 * Something failed that is not a single test.
 * @param {Outcome} of
 * @param {string} problem
 */
export function addProblem(of, problem) {
  of.failed += 1;
  of.problems.push(problem);
}

/**
 * The closing lines: a row for each part, then the sums.
 * @param {Outcome[]} outcomes
 */
export function summary(outcomes) {
  const rows = outcomes.map((one) => {
    const whole = one.failed === 0 ? 'passed' : 'FAILED';
    const counts = one.gate ? whole : countsOf(one);
    const time = one.ms === undefined ? '' : `  (${(one.ms / 1000).toFixed(1)} s)`;
    return `  ${one.name.padEnd(24)} ${counts}${time}`;
  });
  const problems = outcomes.flatMap((one) => one.problems.map((text) => `  ${one.name}: ${text}`));
  const sum = (key) => outcomes.reduce((total, one) => total + one[key], 0);
  const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
  const told = problems.length > 0 ? ['', 'Problems beside single tests:', ...problems] : [];
  return { text: ['', ...rows, ...told, '', countsOf(total)].join('\n'), failed: total.failed };
}

function countsOf({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
