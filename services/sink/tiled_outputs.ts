import { Counter, type Registry } from 'prom-client';
import type { TilesConfig } from '../../lib/config.js';
import { FramebusError } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import type { Output } from '../../native/contract.js';
import { TiledOutput, type TiledOutputParts } from './tiled_output.js';

/** One tiled output as the page shows it. */
export interface TilesSummary {
  name: string;
  /** In the order of the cells. */
  streams: string[];
}

/** All tiled outputs of a sink. */
export class TiledOutputs {
  readonly #outputs: readonly TiledOutput[];

  /** `streams`: those that are configured. */
  constructor(
    configs: readonly TilesConfig[],
    streams: readonly string[],
    { log, ...parts }: Omit<TiledOutputParts, 'failed'> & { log: Log },
  ) {
    const limit = new LogLimit();
    this.#outputs = configs.map(
      (config) =>
        new TiledOutput(config, streams, {
          ...parts,
          failed: (code, cause) => {
            const skipped = limit.take(`${config.name} ${code}`);
            if (skipped !== null) log.error({ tiles: config.name, code, cause, skipped }, 'the encoder of a tiled output failed; it is made anew');
          },
        }),
    );
  }

  /** Composes and encodes from now on. */
  start(): void {
    for (const tiled of this.#outputs) tiled.open();
  }

  /** A stream has another output; null: none now. */
  show(streamId: string, output: Output | null): void {
    for (const tiled of this.#outputs) tiled.show(streamId, output);
  }

  /** Throws TILES_NOT_FOUND, which names those that there are. */
  require(name: string): TiledOutput {
    const found = this.#outputs.find((tiled) => tiled.name === name);
    if (found) return found;
    const known = this.#outputs.length === 0 ? 'there is none' : `known are ${this.#outputs.map((tiled) => tiled.name).join(', ')}`;
    throw new FramebusError('TILES_NOT_FOUND', `tiled output "${name}": not found; ${known}`);
  }

  summaries(): TilesSummary[] {
    return this.#outputs.map(({ name, streams }) => ({ name, streams }));
  }

  registerMetrics(registry: Registry): void {
    const outputs = this.#outputs;
    new Counter({
      name: 'framebus_sink_tiles_pictures_total',
      help: 'Pictures of tiled outputs that were encoded.',
      labelNames: ['tiles'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { name, pictures } of outputs) this.inc({ tiles: name }, pictures);
      },
    });
    new Counter({
      name: 'framebus_sink_tiles_dropped_total',
      help: 'Pictures of tiled outputs that were left out: skipped, because the machine was too slow; encoder, because it has failed.',
      labelNames: ['tiles', 'reason'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { name, dropped } of outputs) {
          for (const [reason, count] of Object.entries(dropped)) this.inc({ tiles: name, reason }, count);
        }
      },
    });
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.all(this.#outputs.map((tiled) => tiled.close()));
  }
}

export function noTiles(name: string): FramebusError {
  return new FramebusError('TILES_NO_PICTURE', `tiled output "${name}": no picture now`);
}
