import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FramebusError, isErrorCode, toFramebusError, type ErrorCode } from '../../lib/errors.js';
import type { BusConsumer, BusServer, FrameLease, Source, SourceEvent } from '../../native/contract.js';
import { createBusConsumer, createBusServer, createSource } from '../../native/index.js';

const PRODUCER = 'picture';
const GROUP = 'test';
const NO_FRAME_TIMEOUT_MS = 10_000;

type FrameEvent = Extract<SourceEvent, { type: 'frame' }>;

/**
 * One picture on a frame bus of its own, decoded and leased as the services do it:
 * what is seen in it is what a stream would show.
 */
export class LeasedPicture {
  readonly lease: FrameLease;
  /** Milliseconds from the file to the lease. */
  readonly decodeMs: number;
  readonly #bus: PrivateBus;

  private constructor(lease: FrameLease, decodeMs: number, bus: PrivateBus) {
    this.lease = lease;
    this.decodeMs = decodeMs;
    this.#bus = bus;
  }

  /** @throws SOURCE_… for what is no picture */
  static async open(file: string): Promise<LeasedPicture> {
    const startedMs = performance.now();
    const bus = new PrivateBus();
    try {
      const lease = await bus.firstFrame(file);
      return new LeasedPicture(lease, performance.now() - startedMs, bus);
    } catch (error) {
      await bus.close();
      const { code, message } = toFramebusError(error);
      throw new FramebusError(code, message, {
        cause: error,
        remedy: 'Give a JPEG or PNG picture, or a video, of which the first frame is taken.',
      });
    }
  }

  /** Ends the lease and everything else. */
  async close(): Promise<void> {
    this.lease.release();
    await this.#bus.close();
  }
}

/** A producer and a consumer in this process, on a folder that goes with them. */
class PrivateBus {
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'framebus-picture-'));
  #server: BusServer | null = null;
  #consumer: BusConsumer | null = null;
  #source: Source | null = null;

  async firstFrame(file: string): Promise<FrameLease> {
    const directory = this.#directory;
    this.#server = createBusServer(
      { directory, producer: PRODUCER, allowUids: [], allowGids: [], token: '', leaseDeadlineMs: 0 },
      () => undefined,
    );
    const consumer = createBusConsumer(
      { directory, name: PRODUCER, group: GROUP, maxHeld: 1, hold: 1, minHold: 1, token: '' },
      () => undefined,
    );
    this.#consumer = consumer;
    const { epoch, slot, generation } = await this.#play(this.#server, file);
    await consumer.attach(PRODUCER, epoch);
    const lease = consumer.lease(epoch, slot, generation);
    if (typeof lease === 'string') throw new Error(`the picture could not be leased: ${lease}`);
    return lease;
  }

  /** Resolves with the first frame. */
  #play(server: BusServer, file: string): Promise<FrameEvent> {
    return new Promise((resolve, reject) => {
      this.#source = createSource(server, sourceOptions(file), (event) => {
        if (event.type === 'frame') resolve(event);
        else if (event.type === 'error') reject(new FramebusError(sourceCode(event.code), event.message));
        else if (event.type === 'end') reject(new FramebusError('SOURCE_BROKEN', `${file}: no picture could be decoded`));
      });
      this.#source.start();
    });
  }

  async close(): Promise<void> {
    try {
      await this.#source?.close();
      await this.#consumer?.close();
      await this.#server?.close();
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }
}

const sourceCode = (code: string): ErrorCode => (isErrorCode(code) ? code : 'SOURCE_FAILED');

const sourceOptions = (file: string): Parameters<typeof createSource>[1] => ({
  streamId: 'picture',
  uri: file.includes('://') ? file : path.resolve(file),
  loop: false,
  realtime: false,
  // A video's first frame waits in its slot until it is leased.
  mode: 'lossless',
  slots: 2,
  memory: 'shm',
  groups: [{ name: GROUP, hold: 1 }],
  decoderThreads: 0,
  rtspTransport: 'tcp',
  noFrameTimeoutMs: NO_FRAME_TIMEOUT_MS,
});
