/** The native addon: cmake and ninja, into native/build. */
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';
import { contentHash } from '../run/stamp.mjs';
import { tool } from './tool.mjs';

const INPUTS = ['native/CMakeLists.txt', 'native/core', 'native/binding', 'native/engine', 'native/test/engine'];

/** @returns {import('./steps.mjs').Step} */
export function nativeAddon() {
  return {
    name: 'Native addon',
    log: 'native',
    remedy: 'The compiler’s message is in the log; `rm -r native/build` starts afresh.',
    stamp: () => ({
      key: contentHash(INPUTS, {
        extra: [
          process.arch,
          tool.version('node-addon-api'),
          tool.version('node-api-headers'),
          // With it, TensorRT's engine is built.
          process.env.FRAMEBUS_TENSORRT_INCLUDE ?? '',
        ],
      }),
      outputs: [path.join(root, 'native', 'build', 'framebus.node')],
    }),
    async work(context) {
      await buildNative(context, { directory: 'native/build', target: 'framebus' });
      return 'built';
    },
  };
}

/**
 * A program of native/test, for people who run it by hand.
 * @param {{directory: string, target: string, sanitize?: string, compiler?: string}} program
 * @returns {import('./steps.mjs').Step}
 */
export function nativeProgram(program) {
  const { directory, target } = program;
  return {
    name: `Program ${target}`,
    log: `native-${target}`,
    remedy: `The compiler’s message is in the log; \`rm -r ${directory}\` starts afresh.`,
    check: () => null,
    async work(context) {
      await buildNative(context, program);
      return 'built';
    },
  };
}

/**
 * Configures and builds targets of native/CMakeLists.txt.
 * @param {import('./steps.mjs').StepContext} context
 * @param {{directory: string, target: string | string[], sanitize?: string, compiler?: string}} build
 */
export async function buildNative(context, { directory, target, sanitize, compiler }) {
  context.note('cmake');
  const definitions = [
    ...(sanitize ? [`-DFRAMEBUS_SANITIZE=${sanitize}`] : []),
    ...(compiler ? [`-DCMAKE_CXX_COMPILER=${compiler}`] : []),
  ];
  await run('cmake', ['-S', 'native', '-B', directory, '-G', 'Ninja', ...definitions], context.options);
  await run('cmake', ['--build', directory, '--target', ...[target].flat()], {
    ...context.options,
    env: { NINJA_STATUS: '[%f/%t] ' },
    onLine: (line) => {
      const counted = /^\[(\d+)\/(\d+)\]/.exec(line);
      if (counted) context.note(`${counted[1]} of ${counted[2]} compiled`);
    },
  });
}
