import { Metadata } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { GetStatusResponse, StatusServiceClient } from '#proto/framebus/status/v1/status_service.js';
import { addressOption, callError, openClient } from './client.js';
import { statusReport } from './status/report.js';

const DEADLINE_MS = 5_000;

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

function getStatus(address: string): Promise<GetStatusResponse> {
  const client = openClient(StatusServiceClient, address);
  return new Promise<GetStatusResponse>((resolve, reject) => {
    const deadline = Date.now() + DEADLINE_MS;
    client.getStatus({}, new Metadata(), { deadline }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address));
    });
  }).finally(() => {
    client.close();
  });
}
