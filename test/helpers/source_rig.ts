import { onTestFinished } from 'vitest';
import type { FrameLease, Source, SourceEvent, SourceOptions } from '../../native/contract.js';
import { createBusConsumer, createBusServer, createSource } from '../../native/index.js';
import { eventually } from './eventually.js';
import { tempFolder } from './temp.js';
import { CONSUMER, groups, SERVER } from './bus_options.js';

type Event<Type extends SourceEvent['type']> = Extract<SourceEvent, { type: Type }>;

/** A file, every frame of it, as fast as it goes. */
export const fastFile = (uri: string, rest: Partial<SourceOptions> = {}): SourceOptions => ({
  streamId: 'test',
  uri,
  loop: false,
  realtime: false,
  mode: 'lossless',
  slots: 4,
  memory: 'shm',
  groups: groups('infer'),
  decoderThreads: 0,
  rtspTransport: 'tcp',
  noFrameTimeoutMs: 3000,
  ...rest,
});

/** A source on a bus, and one consumer of it that leases every frame it can. */
export class SourceRig {
  readonly events: SourceEvent[] = [];
  readonly source: Source;
  refused = 0;
  #work: Promise<void> = Promise.resolve();
  readonly #look: ((lease: FrameLease, frame: Event<'frame'>) => void) | null;
  readonly #consumer;

  /** Without `look`, frames are not leased: they stay in their slots. */
  constructor(options: SourceOptions, look: ((lease: FrameLease, frame: Event<'frame'>) => void) | null) {
    const directory = tempFolder();
    this.#look = look;
    const server = createBusServer({ directory, producer: 'test', ...SERVER }, () => undefined);
    this.#consumer = createBusConsumer({ directory, name: 'rig', group: 'infer', maxHeld: 4, ...CONSUMER }, () => undefined);
    this.source = createSource(server, options, (event) => {
      this.events.push(event);
      this.#work = this.#work.then(() => this.#take(event));
    });
    onTestFinished(async () => {
      await this.source.close();
      await this.#work;
      await this.#consumer.close();
      await server.close();
    });
  }

  of<Type extends SourceEvent['type']>(type: Type): Event<Type>[] {
    return this.events.filter((event): event is Event<Type> => event.type === type);
  }

  /** Waits for 'end' or 'error', and until every frame was looked at. */
  async over(timeoutMs = 60_000): Promise<void> {
    await eventually('the source is over', () => this.of('end').length + this.of('error').length > 0, { timeoutMs });
    await this.#work;
  }

  async #take(event: SourceEvent): Promise<void> {
    if (this.#look === null) return;
    if (event.type === 'epoch') await this.#consumer.attach('test', event.epoch);
    if (event.type !== 'frame') return;
    const lease = this.#consumer.lease(event.epoch, event.slot, event.generation);
    if (typeof lease === 'string') {
      this.refused += 1;
      return;
    }
    this.#look(lease, event);
    lease.release();
  }
}
