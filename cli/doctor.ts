import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { loadConfig, parseConfig, type Config } from '../lib/config.js';
import { EXIT } from '../lib/errors.js';
import { redactUrl } from '../lib/log.js';
import { checkBus } from './doctor/bus.js';
import { missing, ok, type Check, type CheckState } from './doctor/check.js';
import { checkEngines } from './doctor/engine.js';
import { checkGpu } from './doctor/gpu.js';
import { checkMedia } from './doctor/media.js';
import { checkNats } from './doctor/nats.js';
import { checkPorts } from './doctor/ports.js';

const DEFAULT_FILE = 'framebus.yaml';
const OLDEST_NODE = [20, 12] as const;

interface DoctorOptions {
  config?: string;
  json?: true;
}

/** Adds `framebus doctor`. */
export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('Show what framebus finds on this machine, and what to do about what is missing')
    .option('-c, --config <file>', `configuration to check against (default: ${DEFAULT_FILE} if there is one)`)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  framebus doctor\n  framebus doctor --json | jq \'.checks[] | select(.state == "missing")\'\n\nExit code 1 when something that is needed is missing.')
    .action(async ({ config: file, json }: DoctorOptions) => {
      const checks = await examine(configuration(file));
      const healthy = checks.every(({ state }) => state !== 'missing');
      const text = json === true ? JSON.stringify({ healthy, checks }, null, 2) : report(checks);
      process.stdout.write(`${redactUrl(text)}\n`);
      process.exitCode = healthy ? EXIT.ok : EXIT.failed;
    });
}

/** The named file, else the usual one, else all defaults. */
function configuration(file: string | undefined): Config {
  if (file !== undefined || existsSync(DEFAULT_FILE)) return loadConfig(file ?? DEFAULT_FILE);
  return parseConfig('streams: {any: {source: /any}}', DEFAULT_FILE);
}

async function examine(config: Config): Promise<Check[]> {
  const [media, engines, gpu, nats, ports] = await Promise.all([
    checkMedia(config.sink.encode),
    checkEngines(config),
    checkGpu(),
    checkNats(config),
    checkPorts(config),
  ]);
  return [...checkMachine(), ...media, ...engines, ...gpu, ...nats, ...checkBus(config.bus.directory), ...ports];
}

function checkMachine(): Check[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = OLDEST_NODE;
  const recent = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  const remedy = `Install Node ${wantedMajor}.${wantedMinor} or later.`;
  const gib = (totalmem() / 2 ** 30).toFixed(0);
  return [
    recent ? ok('machine', 'Node', process.version) : missing('machine', 'Node', process.version, remedy),
    ok('machine', 'system', `Linux ${release()}, ${arch()}, ${cpus().length} cores, ${gib} GiB`),
  ];
}

const MARKS: Readonly<Record<CheckState, string>> = { ok: '✓', absent: '–', warning: '!', missing: '✗' };

/** Groups with a mark for each thing, and the remedy below what needs one. */
export function report(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines: string[] = [];
  let group = '';
  for (const check of checks) {
    if (check.group !== group) {
      if (group !== '') lines.push('');
      group = check.group;
      lines.push(group);
    }
    const found = check.found.replaceAll('\n', '\n      ');
    lines.push(`  ${MARKS[check.state]} ${check.name.padEnd(width)}  ${found}`);
    if (check.remedy !== '') lines.push(`      → ${check.remedy}`);
  }
  const bad = checks.filter(({ state }) => state === 'missing').length;
  const verdict = bad === 0 ? 'Nothing that is needed is missing.' : `${bad} needed ${bad === 1 ? 'thing is' : 'things are'} missing.`;
  return [...lines, '', verdict].join('\n');
}
