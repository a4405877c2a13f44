import { onTestFinished } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { decodeRecord } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import { RECORD_STREAM } from '../../lib/subjects.js';
import { SubscribeRequest, type DetectionServiceClient, type SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import type { MissedRecords } from '#proto/framebus/detection/v1/missed_records.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { detectionClient } from './sink_rig.js';

/** Which frame a record is of. */
export const frameOf = ({ streamId, epoch, seq }: DetectionRecord): string => `${streamId} ${epoch?.uuid ?? ''} ${seq}`;

/** Frames of all records that JetStream has, in its order: read without any code of sink. */
export async function storedFrames(nats: NatsConnection): Promise<string[]> {
  const manager = await nats.jetstreamManager();
  const { state } = await manager.streams.info(RECORD_STREAM);
  const frames: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    frames.push(frameOf(decodeRecord((await manager.streams.getMessage(RECORD_STREAM, { seq })).data)));
  }
  return frames;
}

/** A client as the documentation tells to write one: remembers the cursor, and goes on behind it whatever ends. */
export class RecordClient {
  readonly frames: string[] = [];
  readonly missed: MissedRecords[] = [];
  /** Codes that subscriptions ended with. */
  readonly ends: number[] = [];
  cursor = '';
  readonly #client: DetectionServiceClient;
  readonly #request: SubscribeRequest;
  #call: ClientReadableStream<SubscribeResponse> | null = null;
  #closed = false;

  constructor(address: string, request: Partial<SubscribeRequest>) {
    this.#client = detectionClient(address);
    this.#request = SubscribeRequest.fromPartial(request);
    onTestFinished(() => {
      this.close();
    });
    void this.#run();
  }

  /** Dies and is there again: what has not been processed is lost with it. */
  cut(): void {
    this.#call?.cancel();
    this.#call?.removeAllListeners('data');
  }

  close(): void {
    this.#closed = true;
    this.cut();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed()) {
      this.ends.push(await this.#subscribe());
      await sleep(100);
    }
  }

  #subscribe(): Promise<number> {
    const start = this.cursor === '' ? {} : { resumeAfter: this.cursor, fromBeginning: false, sinceUnixNs: 0n };
    const call = this.#client.subscribe({ ...this.#request, ...start });
    this.#call = call;
    call.on('data', ({ record, cursor, missed }: SubscribeResponse) => {
      if (record !== undefined) this.frames.push(frameOf(record));
      if (cursor !== '') this.cursor = cursor;
      this.missed.push(...missed);
    });
    return new Promise((resolve) => {
      call.on('error', (error) => {
        resolve((error as unknown as { code: number }).code);
      });
      call.on('end', () => {
        resolve(0);
      });
    });
  }

  #isClosed(): boolean {
    return this.#closed;
  }
}
