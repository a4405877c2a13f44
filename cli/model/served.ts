import type { Command } from 'commander';
import { ListResponse, WatchResponse } from '#proto/framebus/model/v1/model_service.js';
import { serviceAddress, serviceOptions } from '../client.js';
import { withStop } from './fetch_models.js';
import { ModelClient } from './model_client.js';
import { servedTable } from './served_table.js';

interface ServedOptions {
  address?: string;
  config?: string;
  watch?: true;
  json?: true;
}

/** Adds `framebus model status`. */
export function registerServed(model: Command): void {
  const [address, config] = serviceOptions('infer');
  model
    .command('status')
    .description('Show the models of a running worker: what serves which name, and how it is')
    .addOption(address)
    .addOption(config)
    .option('-w, --watch', 'again after every change, until Ctrl-C')
    .option('--json', 'as JSON; with --watch an object a line')
    .addHelpText(
      'after',
      '\nExamples:\n  framebus model status\n  framebus model status --watch\n' +
        '  framebus model status --json | jq -r ".models[] | select(.reason != null) | .reason"' +
        '\n\nExit code 69 when no worker answers.',
    )
    .action(async (options: ServedOptions) => {
      const client = new ModelClient(serviceAddress('infer', options));
      try {
        await (options.watch === true ? watch(client, options.json === true) : list(client, options.json === true));
      } finally {
        client.close();
      }
    });
}

async function list(client: ModelClient, json: boolean): Promise<void> {
  const response = await client.list();
  print(json ? JSON.stringify(ListResponse.toJSON(response), null, 2) : `${response.instance}\n${servedTable(response.models)}`);
}

async function watch(client: ModelClient, json: boolean): Promise<void> {
  const error = await withStop((signal) =>
    client.watch(signal, (response) => {
      print(json ? JSON.stringify(WatchResponse.toJSON(response)) : `${new Date().toLocaleTimeString()}\n${servedTable(response.models)}\n`);
    }),
  );
  if (error !== undefined) throw error;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
