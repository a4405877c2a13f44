import type { Command } from 'commander';
import { loadConfig, type Config } from '../lib/config.js';
import { redactUrl } from '../lib/log.js';

/** Adds `framebus validate`. */
export function registerValidate(program: Command): void {
  program
    .command('validate')
    .description('Check a configuration: every problem with its line, or what it comes to')
    .argument('[file]', 'configuration', 'framebus.yaml')
    .option('--json', 'print the whole configuration, every default filled in, as JSON')
    .addHelpText('after', '\nExamples:\n  framebus validate framebus.yaml\n  framebus validate --json | jq .streams')
    .action((file: string, { json }: { json?: true }) => {
      const config = loadConfig(file);
      const text = json === true ? JSON.stringify(config, null, 2) : `${file}: good\n${summary(config)}`;
      process.stdout.write(`${redactUrl(text)}\n`);
    });
}

function summary(config: Config): string {
  const width = Math.max(...config.streams.map(({ id }) => id.length));
  return config.streams
    .map(({ id, source, model, mode }) => {
      const looks = model === null ? 'no model' : `${model}, ${mode}`;
      return `  ${id.padEnd(width)}  ${source}  (${looks})`;
    })
    .join('\n');
}
