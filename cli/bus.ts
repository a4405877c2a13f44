import type { Command } from 'commander';
import { PoolStatus } from '#proto/framebus/status/v1/status.js';
import { busReport, poolsOf } from './bus/report.js';
import { addressOption } from './client.js';
import { getStatus } from './status/get_status.js';

interface BusStatusOptions {
  address: string;
  json?: true;
}

/** Adds `framebus bus status`. */
export function registerBus(program: Command): void {
  const bus = program
    .command('bus')
    .description('Look at the frame bus')
    .addHelpText('after', '\nExamples:\n  framebus bus status');
  bus
    .command('status')
    .description('Show the pools of frame memory and who is attached to them')
    .addOption(addressOption())
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nheld: frames that consumers hold now, of so many that they may hold together.' +
        '\nExamples:\n  framebus bus status\n  framebus bus status --json | jq ".pools[].consumers[] | select(.revoked != \\"0\\")"',
    )
    .action(async ({ address, json }: BusStatusOptions) => {
      const { services } = await getStatus(address);
      process.stdout.write(`${json === true ? busJson(services) : busReport(services)}\n`);
    });
}

function busJson(services: Parameters<typeof poolsOf>[0]): string {
  const pools = poolsOf(services).map(({ producer, pool }) => ({ producer, ...(PoolStatus.toJSON(pool) as object) }));
  return JSON.stringify({ pools }, null, 2);
}
