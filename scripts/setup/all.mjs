/** All of set-up, in order. */
import { sampleClip } from './clip.mjs';
import { contracts } from './contracts.mjs';
import { debianPackages } from './debian.mjs';
import { defaultModel } from './model.mjs';
import { nativeAddon } from './native.mjs';
import { npmPackages } from './npm.mjs';
import { RUNTIME_PACKAGES, TEST_PACKAGES } from './packages.mjs';
import { runSteps } from './steps.mjs';
import { typescript } from './typescript.mjs';

/**
 * @param {{signal: AbortSignal, tests?: boolean}} options `tests`: also what tests need
 */
export async function setUp({ signal, tests = false }) {
  checkNode();
  const packages = tests ? [...RUNTIME_PACKAGES, ...TEST_PACKAGES] : RUNTIME_PACKAGES;
  const steps = [
    debianPackages(packages),
    npmPackages(),
    contracts(),
    nativeAddon(),
    typescript(),
    defaultModel(),
    sampleClip(),
  ];
  await runSteps(steps, { signal });
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (process.platform !== 'linux') throw new Error('framebus runs on Linux only.');
  if (major < 20 || (major === 20 && minor < 12)) {
    throw new Error(`Node.js ${process.versions.node} is too old; framebus needs 20.12 or newer.`);
  }
}
