import type { Command } from 'commander';
import { resolve } from 'node:path';
import { loadConfig } from '../lib/config.js';
import { EXIT } from '../lib/errors.js';
import { createLog } from '../lib/log.js';
import { StopRequest } from './demo/stop_request.js';
import { Up } from './up/up.js';

interface UpCommandOptions {
  config: string;
  nats?: string;
}

const EXAMPLES = `
Examples:
  framebus up -c framebus.yaml             with the NATS server of the configuration
  framebus up --nats embedded              with one of its own, on a free port

A service that dies is started again. Ctrl-C lets all finish what they have begun,
for at most four seconds; a second Ctrl-C ends them on the spot.`;

/** Adds `framebus up`. */
export function registerUp(program: Command): void {
  program
    .command('up')
    .description('Run all services of a configuration on this machine')
    .option('-c, --config <file>', 'configuration', 'framebus.yaml')
    .option('--nats <embedded|url>', 'NATS server (default: nats.url of the configuration)')
    .addHelpText('after', EXAMPLES)
    .action(async (options: UpCommandOptions) => {
      process.exitCode = await runUp(options);
    });
}

async function runUp(options: UpCommandOptions): Promise<number> {
  const configFile = resolve(options.config);
  const config = loadConfig(configFile, withNats(options.nats));
  const { level, format } = config.log;
  const logFormat = format === 'auto' ? (process.stderr.isTTY ? 'text' : 'json') : format;
  const log = createLog({ service: 'up', level, format: logFormat });
  const up = new Up({ configFile, config, natsUrl: config.nats.url, log, logFormat });
  const stop = new StopRequest(() => {
    up.kill();
    process.exit(EXIT.interrupted);
  });
  try {
    return await up.run(stop.signal);
  } finally {
    stop.close();
  }
}

/** The environment with the server of the command line, which counts more. */
function withNats(url: string | undefined): NodeJS.ProcessEnv {
  return url === undefined ? process.env : { ...process.env, NATS_URL: url };
}
