/** Debian packages: found by dpkg-query, installed by apt-get. */
import { existsSync, readFileSync } from 'node:fs';
import { capture, CommandFailed, run } from '../run/command.mjs';
import { CannotBeDone } from './steps.mjs';

const APT = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
const APT_OPTIONS = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'APT::Status-Fd=3'];

/**
 * The step that installs packages.
 * @param {string[]} packages
 * @returns {import('./steps.mjs').Step}
 */
export function debianPackages(packages) {
  let missing = [];
  return {
    name: 'Debian packages',
    log: 'debian',
    remedy: 'Look at the log; `dpkg --configure -a` and `apt-get -f install` mend a broken state.',
    async check() {
      if (process.env.FRAMEBUS_SKIP_PACKAGES) return 'not looked at (FRAMEBUS_SKIP_PACKAGES)';
      if (!isDebian()) throw new CannotBeDone(foreignSystem(packages));
      missing = await missingPackages(packages);
      return missing.length === 0 ? `all ${packages.length} there` : null;
    },
    async work(context) {
      if (process.getuid?.() !== 0) throw new CannotBeDone(needsRoot(missing));
      await withFreshLists(context, (options) =>
        run('apt-get', [...APT_OPTIONS, 'install', '-y', '--no-install-recommends', ...missing], {
          ...options,
          patient: true,
          onStatus: (line) => context.note(installStatus(line)),
        }),
      );
      return `${missing.length} installed`;
    },
  };
}

/**
 * Runs something that needs apt's package lists; when it fails, once more with fresh lists.
 * @param {import('./steps.mjs').StepContext} context
 * @param {(options: import('../run/command.mjs').CommandOptions) => Promise<void>} attempt
 */
export async function withFreshLists(context, attempt) {
  const options = { ...context.options, env: APT };
  try {
    await attempt(options);
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    if (process.getuid?.() !== 0) throw error;
    context.note('fetching the package lists');
    await run('apt-get', [...APT_OPTIONS, 'update'], {
      ...options,
      patient: true,
      onStatus: (line) => context.note(installStatus(line)),
    });
    await attempt(options);
  }
}

/** Debian or something derived from it. */
export function isDebian() {
  if (!existsSync('/etc/os-release')) return false;
  return /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'));
}

async function missingPackages(packages) {
  const format = '${Package}\t${db:Status-Abbrev}\n';
  const text = await capture('dpkg-query', ['-W', '-f', format, ...packages], {
    allowFailure: true,
    env: { LC_ALL: 'C' },
  });
  const installed = new Set();
  for (const line of text.split('\n')) {
    const [name, status] = line.split('\t');
    if (status?.startsWith('ii')) installed.add(name);
  }
  return packages.filter((name) => !installed.has(name));
}

/** apt's status line `kind:item:percent:what` in words. */
function installStatus(line) {
  const [kind, , percent, ...what] = line.split(':');
  const doing = kind === 'dlstatus' ? 'downloading' : 'installing';
  const share = Number.parseFloat(percent ?? '');
  return Number.isFinite(share) ? `${doing} ${share.toFixed(0)} %  ${what.join(':')}` : doing;
}

function needsRoot(missing) {
  return (
    `${missing.length} packages are missing and installing them needs root. Run this, then try again:\n` +
    `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`
  );
}

function foreignSystem(packages) {
  return (
    'this is not Debian (or derived from it), so nothing can be installed for you.\n' +
    `Install what these Debian 12 packages hold: ${packages.join(' ')}\n` +
    'then run again with FRAMEBUS_SKIP_PACKAGES=1 in the environment.'
  );
}
