import { defineConfig } from 'vitest/config';
import path from 'node:path';

const root = import.meta.dirname;

/**
 * Tests with real processes, sockets and the addon: each file in its own process, and no more
 * files at a time than leave them the machine.
 */
function inProcesses(name: string, testTimeout: number, filesAtOnce: number) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.{ts,mjs}`],
      pool: 'forks' as const,
      fileParallelism: filesAtOnce > 1,
      maxWorkers: filesAtOnce,
      testTimeout,
      hookTimeout: testTimeout,
      teardownTimeout: 10_000,
    },
  };
}

export default defineConfig({
  resolve: {
    // The compiled code finds its contracts through package.json "imports", in dist/gen.
    alias: [{ find: /^#proto\/(.*)\.js$/, replacement: path.join(root, 'gen', '$1.ts') }],
  },
  test: {
    // As lib/onnx_telemetry.ts does for the services.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.{ts,mjs}'],
          testTimeout: 40_000,
          hookTimeout: 40_000,
        },
      },
      inProcesses('native', 120_000, 1),
      // They wait more than they work.
      inProcesses('integration', 180_000, 3),
      inProcesses('e2e', 300_000, 1),
    ],
  },
});
