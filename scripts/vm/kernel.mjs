/** The virtual machine's kernel and the modules that it needs, from Debian's archive. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { capture, run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';
import { withFreshLists } from '../setup/debian.mjs';
import { CannotBeDone } from '../setup/steps.mjs';

export const vmDirectory = path.join(root, '.cache', 'dmabuf-vm');
export const kernelFile = path.join(vmDirectory, 'kernel', 'vmlinuz');
/** Modules in the order in which they are to be loaded, one file name a line. */
export const moduleList = path.join(vmDirectory, 'kernel', 'modules.txt');

/** Debian 12's kernels before 6.12 have no DMA heaps. It names the newest 6.12 there is. */
const METAPACKAGE = 'linux-image-6.12-amd64';
/** The root file system over virtio, its writable layer, and a camera. */
const MODULES = ['9pnet_virtio', '9p', 'overlay', 'vivid'];

/** @returns {import('../setup/steps.mjs').Step} */
export function vmKernel() {
  return {
    name: 'Kernel of the virtual machine',
    log: 'vm-kernel',
    remedy: `apt must be able to download ${METAPACKAGE} (bookworm-security); see the log.`,
    check: () => (existsSync(kernelFile) && existsSync(moduleList) ? 'there' : null),
    async work(context) {
      if (process.arch !== 'x64') {
        throw new CannotBeDone('the virtual machine is for x86-64 only; run these tests there');
      }
      const work = path.join(vmDirectory, 'kernel.part');
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work, { recursive: true });
      const name = await unpackKernel(context, work);
      context.note('unpacking its modules');
      await takeWhatIsNeeded(work, context);
      rmSync(path.dirname(kernelFile), { recursive: true, force: true });
      renameSync(path.join(work, 'taken'), path.dirname(kernelFile));
      rmSync(work, { recursive: true, force: true });
      return name;
    },
  };
}

async function unpackKernel(context, work) {
  let name;
  await withFreshLists(context, async (options) => {
    const depends = await capture('apt-cache', ['depends', METAPACKAGE], { allowFailure: true });
    name = /Depends: (linux-image-\S+)/.exec(depends)?.[1] ?? METAPACKAGE;
    context.note(`downloading ${name} (107 MB)`);
    await run('apt-get', ['-q', 'download', name], { ...options, cwd: work });
  });
  context.note('unpacking');
  const archive = readdirSync(work).find((file) => file.endsWith('.deb'));
  if (!archive) throw new Error(`apt-get download ${name}: left no package`);
  await run('dpkg-deb', ['-x', archive, '.'], { ...context.options, cwd: work });
  return name;
}

async function takeWhatIsNeeded(work, context) {
  const taken = path.join(work, 'taken');
  mkdirSync(taken);
  const image = readdirSync(path.join(work, 'boot')).find((file) => file.startsWith('vmlinuz-'));
  renameSync(path.join(work, 'boot', image), path.join(taken, 'vmlinuz'));
  const modules = path.join(work, 'lib', 'modules');
  const files = readdirSync(modules, { recursive: true }).filter((file) => file.endsWith('.ko.xz'));
  const byName = new Map(files.map((file) => [moduleName(path.basename(file, '.ko.xz')), path.join(modules, file)]));
  const order = [];
  for (const module of MODULES) await take(module, { byName, taken, order, context });
  writeFileSync(path.join(taken, 'modules.txt'), `${order.join('\n')}\n`);
}

/** A module after those that it depends on. What is not among the files is built in. */
async function take(module, all) {
  const { byName, taken, order, context } = all;
  const name = moduleName(module);
  const file = `${name}.ko`;
  const packed = byName.get(name);
  if (!packed || order.includes(file)) return;
  await run('sh', ['-c', 'busybox xzcat "$1" > "$2"', 'sh', packed, path.join(taken, file)], context.options);
  const about = readFileSync(path.join(taken, file)).toString('latin1');
  const needs = /\0depends=([^\0]*)\0/.exec(about)?.[1] ?? '';
  for (const other of needs.split(',').filter(Boolean)) await take(other, all);
  order.push(file);
}

/** The kernel takes - and _ for the same. */
function moduleName(name) {
  return name.replaceAll('-', '_');
}
