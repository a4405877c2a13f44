#!/usr/bin/env node
// The `framebus` command: starts the compiled program, or says what is missing.
import { existsSync } from 'node:fs';
import path from 'node:path';

const main = path.join(import.meta.dirname, '..', 'dist', 'cli', 'main.js');

if (existsSync(main)) {
  await import(main);
} else {
  process.stderr.write('framebus: not built yet.\n  Run "npm run setup" in the folder of framebus.\n');
  process.exitCode = 69;
}
