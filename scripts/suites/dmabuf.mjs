/** What needs real DMA-BUFs and a camera: checked in a virtual machine that has them. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { Interrupted, tail } from '../run/command.mjs';
import { shown } from '../run/paths.mjs';
import { debianPackages } from '../setup/debian.mjs';
import { buildNative } from '../setup/native.mjs';
import { runSteps, SetupFailed } from '../setup/steps.mjs';
import { vmDirectory, vmKernel } from '../vm/kernel.mjs';
import { runInMachine, VM_PACKAGES } from '../vm/machine.mjs';
import { addProblem, outcome } from './outcome.mjs';

/** A minute where nothing else runs. */
const WITHIN_MS = 600_000;

/**
 * @param {AbortSignal} signal
 * @param {{optional?: boolean}} [options] `optional`: without the machine it counts as skipped
 */
export async function runDmabuf(signal, { optional = false } = {}) {
  const result = outcome('dmabuf');
  try {
    await runSteps([debianPackages(VM_PACKAGES), vmKernel()], { signal });
  } catch (error) {
    if (!(error instanceof SetupFailed)) throw error;
    if (optional) result.skipped += 1;
    else addProblem(result, 'there is no virtual machine, see above');
    return result;
  }
  const note = () => undefined;
  await buildNative(
    { signal, note, options: { signal } },
    { directory: 'native/build', target: 'dmabuf_test' },
  );
  const log = path.join(vmDirectory, 'vm.log');
  rmSync(log, { force: true });
  let done = false;
  const onLine = (raw) => {
    const line = raw.replaceAll('\r', '').trimEnd();
    if (/^(UP|PASS|FAIL|DONE) /.test(line)) process.stdout.write(`${line}\n`);
    if (line.startsWith('PASS ')) result.passed += 1;
    if (line.startsWith('FAIL ')) result.failed += 1;
    if (line.startsWith('DONE ')) done = true;
  };
  const within = AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]);
  try {
    await runInMachine('scripts/vm/guest.sh', { signal: within, log, onLine });
  } catch (error) {
    if (signal.aborted) throw error;
    const why = error instanceof Interrupted ? `not done after ${WITHIN_MS / 1000} s` : error.message;
    addProblem(result, `virtual machine: ${why}`);
  }
  if (!done) addProblem(result, 'the virtual machine ended before its checks did');
  if (result.failed > 0) {
    process.stdout.write(`${tail(log, 60)}\nWhole log: ${shown(log)}\n`);
  }
  return result;
}
