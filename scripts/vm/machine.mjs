/** A virtual machine on a read-only share of this machine's files: boots, runs a script, ends. */
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';
import { kernelFile, vmDirectory } from './kernel.mjs';

export const VM_PACKAGES = ['qemu-system-x86', 'busybox-static'];

const MEMORY_MIB = 2048;
const CORES = 2;

/**
 * Runs a script of the repository as root inside the machine, to its end.
 * @param {string} script path in the repository
 * @param {{signal: AbortSignal, log: string, onLine: (line: string) => void}} options
 */
export async function runInMachine(script, options) {
  // Without the hardware's help: inside of other virtual machines KVM may be there and not work.
  const accelerator = process.env.FRAMEBUS_VM_ACCEL || 'tcg,thread=multi';
  const initramfs = await makeInitramfs(options);
  const boot = `console=ttyS0 quiet loglevel=3 mitigations=off panic=-1 oops=panic guest=${path.join(root, script)}`;
  await run(
    'qemu-system-x86_64',
    [
      ...['-accel', accelerator, '-cpu', 'max'],
      ...['-smp', String(CORES), '-m', String(MEMORY_MIB)],
      ...['-nographic', '-nodefaults', '-no-reboot', '-serial', 'stdio'],
      ...['-kernel', kernelFile, '-initrd', initramfs, '-append', boot],
      '-virtfs',
      'local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap',
    ],
    options,
  );
}

async function makeInitramfs(options) {
  const folder = path.join(vmDirectory, 'initramfs');
  const file = `${folder}.gz`;
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'dev', 'proc', 'sys', 'lower', 'upper', 'root']) {
    mkdirSync(path.join(folder, name), { recursive: true });
  }
  copyFileSync('/bin/busybox', path.join(folder, 'bin', 'busybox'));
  copyFileSync(path.join(root, 'scripts', 'vm', 'init.sh'), path.join(folder, 'init'));
  cpSync(path.dirname(kernelFile), path.join(folder, 'modules'), {
    recursive: true,
    filter: (source) => source !== kernelFile,
  });
  const pack = 'chmod +x init && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > "$1"';
  await run('sh', ['-c', pack, 'sh', file], { ...options, cwd: folder });
  rmSync(folder, { recursive: true });
  return file;
}
