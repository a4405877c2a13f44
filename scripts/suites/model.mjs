/** The model of the slot protocol, checked by spin: what must hold, and mutants that must not. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { CommandFailed, Interrupted, run, tail } from '../run/command.mjs';
import { inLanes } from '../run/lanes.mjs';
import { root, shown, stateDirectory } from '../run/paths.mjs';
import { addProblem, outcome } from './outcome.mjs';

const MODEL = path.join(root, 'native', 'model');
const WITHIN_MS = { short: 180_000, long: 3_600_000 };
/** pan's memory in MiB, at most. */
const MEMORY_MIB = { short: 1500, long: 12_000 };

/**
 * One exhaustive search. `mutant`: the search must find an assertion that is violated.
 * @typedef {{name: string, defines: Record<string, number>, mutant?: string, long?: boolean}} Search
 */

/** @param {number} members @param {number} publications @param {number} deaths @param {number} revokes @param {number} redeliveries @param {number} [routes] */
const size = (members, publications, deaths, revokes, redeliveries, routes = 0) => ({
  MEMBERS: members,
  PUBLICATIONS: publications,
  DEATHS: deaths,
  REVOKES: revokes,
  REDELIVERIES: redeliveries,
  ROUTES: routes,
});

/** @type {Search[]} */
const PROTOCOL = [
  { name: 'death, a message twice', defines: size(1, 2, 1, 0, 1) },
  { name: 'a consumer is fenced', defines: size(1, 2, 0, 1, 0) },
  { name: 'two members, one is fenced', defines: size(2, 1, 0, 1, 0) },
  { name: 'a group leaves and comes back', defines: size(1, 2, 0, 0, 0, 2) },
  { name: 'two members', defines: size(2, 2, 0, 0, 0) },
  { name: 'two members, death, redelivery', defines: size(2, 1, 1, 0, 1) },
  { name: 'lossless, two members, death', defines: { ...size(2, 2, 1, 0, 0), LOSSLESS: 1 } },
  { name: 'two members, death', defines: size(2, 2, 1, 0, 0), long: true },
  { name: 'two members, one is fenced, a message twice', defines: size(2, 1, 0, 1, 1), long: true },
  { name: 'two members, one is fenced, two generations', defines: size(2, 2, 0, 1, 0), long: true },
  { name: 'two are fenced', defines: size(1, 2, 0, 2, 1), long: true },
  { name: 'a group comes back as another one, its member fenced', defines: size(1, 3, 0, 1, 0, 2), long: true },
  { name: 'three generations', defines: size(1, 3, 0, 0, 0), long: true },
  { name: 'two members, three generations', defines: size(2, 3, 0, 0, 0), long: true },
  { name: 'death, fence, a message twice', defines: size(1, 2, 1, 1, 1), long: true },
];

/** @type {Search[]} */
const MUTANTS = [
  { mutant: 'WEAK_TAKE', defines: size(1, 2, 0, 0, 0) },
  { mutant: 'WEAK_RECLAIM', defines: size(1, 2, 0, 0, 0) },
  { mutant: 'WEAK_END', defines: size(1, 2, 0, 0, 0) },
  { mutant: 'NO_RECHECK', defines: size(1, 2, 0, 0, 0) },
  { mutant: 'NO_ORDER', defines: size(1, 2, 0, 1, 0) },
  { mutant: 'WEAK_HELD', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'NO_REREAD', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'TAKES_BACK', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'TRIES_AGAIN', defines: size(2, 1, 0, 1, 1) },
  { mutant: 'ENDS_ANYWAY', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'LATE_FENCE', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'DEAF', defines: size(1, 1, 0, 1, 0) },
  { mutant: 'OLD_MEMBERS', defines: size(1, 2, 0, 0, 0, 2) },
  { mutant: 'OPEN_BITS', defines: size(1, 2, 0, 0, 0, 1) },
  { mutant: 'NO_AGAIN', defines: size(1, 2, 1, 0, 1) },
  { mutant: 'NO_TAKEN', defines: size(1, 2, 1, 0, 0) },
  { mutant: 'NO_LEFT', defines: size(1, 2, 0, 0, 0) },
  { mutant: 'LOST_ANYWAY', defines: size(2, 1, 1, 0, 1) },
  { mutant: 'EAGER_FREE', defines: size(1, 2, 1, 0, 0) },
].map(({ mutant, defines }) => ({
  name: `mutant ${mutant}`,
  mutant,
  defines: { ...defines, [mutant]: 1 },
}));

/**
 * @param {AbortSignal} signal
 * @param {{long?: boolean}} [options] `long`: the large searches, too; minutes and gigabytes
 */
export async function runModel(signal, { long = false } = {}) {
  const result = outcome('model');
  const searches = [...PROTOCOL, ...MUTANTS].filter((search) => long || !search.long);
  // The large ones need the memory for themselves.
  const atOnce = long ? 1 : Math.min(2, availableParallelism());
  await inLanes(searches, (search) => check(search, result, signal, long ? 'long' : 'short'), atOnce);
  return result;
}

async function check(search, result, signal, kind) {
  const startedAt = performance.now();
  const log = path.join(stateDirectory, 'model', `${search.name.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.log`);
  const found = await explore(search, log, signal, kind);
  const failure = search.mutant ? mutantFailure(found) : protocolFailure(found);
  if (failure === null) result.passed += 1;
  else addProblem(result, `${search.name}: ${failure}; log ${shown(log)}`);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const states = found.states === null ? '' : `${found.states} states, `;
  const verdict = found.violated ? `violated: ${found.violated}` : 'nothing violated';
  process.stdout.write(
    `${failure === null ? 'ok' : 'FAILED'} ${search.name}: ${states}${seconds} s, ${verdict}\n`,
  );
  if (failure !== null) process.stdout.write(`${tail(log, 30)}\n`);
}

/** Makes the checker in a folder of its own and runs it. */
async function explore(search, log, signal, kind) {
  const folder = log.replace(/\.log$/, '');
  rmSync(folder, { recursive: true, force: true });
  rmSync(log, { force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(MODEL).filter((each) => each.endsWith('.pml'))) {
    copyFileSync(path.join(MODEL, name), path.join(folder, name));
  }
  const options = {
    cwd: folder,
    log,
    signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS[kind])]),
  };
  const defines = Object.entries(search.defines).map(([name, value]) => `-D${name}=${value}`);
  let failure = null;
  try {
    await run('spin', [...defines, '-a', 'slot_protocol.pml'], options);
    const checker = ['-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${MEMORY_MIB[kind]}`];
    // Exhaustive searches are worth optimising for; a mutant falls at once.
    await run('gcc', [search.mutant ? '-O0' : '-O2', '-w', ...checker, '-o', 'pan', 'pan.c'], options);
    await run('./pan', ['-m1000000'], options);
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof Interrupted) failure = `not done after ${WITHIN_MS[kind] / 1000} s`;
    else if (error instanceof CommandFailed) failure = error.message;
    else throw error;
  }
  return { failure, ...readReport(readFileSync(log, 'utf8')) };
}

function readReport(text) {
  return {
    states: Number(/^\s*(\d+) states, stored$/m.exec(text)?.[1] ?? NaN) || null,
    errors: Number(/, errors: (\d+)$/m.exec(text)?.[1] ?? NaN),
    violated: /^pan:\d+: (.*) \(at depth \d+\)$/m.exec(text)?.[1].trim() ?? null,
    whole: !/Search not completed|search depth too small|out of memory|truncated/i.test(text),
  };
}

function protocolFailure({ failure, states, errors, violated, whole }) {
  if (violated) return violated;
  if (failure) return failure;
  if (errors !== 0 || states === null) return 'no result';
  return whole ? null : 'the search is not complete';
}

function mutantFailure({ failure, states, violated }) {
  if (violated?.startsWith('assertion violated')) return null;
  if (failure && states === null) return failure;
  return 'nothing is violated: the model would not notice that fault';
}
