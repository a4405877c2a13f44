import type { Command } from 'commander';
import { GetStatusResponse } from '#proto/framebus/status/v1/status_service.js';
import { addressOption } from './client.js';
import { getStatus } from './status/get_status.js';
import { statusReport } from './status/report.js';

interface StatusOptions {
  address: string;
  json?: true;
}

/** Adds `framebus status`. */
export function registerStatus(program: Command): void {
  program
    .command('status')
    .description('Show how the running services and their streams are')
    .addOption(addressOption())
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  framebus status\n  framebus status --json | jq .services[].state')
    .action(async ({ address, json }: StatusOptions) => {
      const response = await getStatus(address);
      const text = json === true ? JSON.stringify(GetStatusResponse.toJSON(response), null, 2) : statusReport(response.services);
      process.stdout.write(`${text}\n`);
    });
}
