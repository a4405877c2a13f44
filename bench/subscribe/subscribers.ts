/** The subscribers' process: `node subscribers.js ADDRESS`, called through a Peer. */
import { credentials, type ClientReadableStream } from '@grpc/grpc-js';
import {
  DetectionServiceClient,
  SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { serveParent } from '../bus/endpoint.js';

/** What they got. */
export interface Received {
  records: number;
  missed: number;
  /** From capture to the client, of each record. */
  latenciesMs: number[];
}

interface Subscriber {
  client: DetectionServiceClient;
  call: ClientReadableStream<SubscribeResponse>;
  records: number;
}

export class Subscribers {
  readonly #address: string;
  #subscribers: Subscriber[] = [];
  #received: Received = { records: 0, missed: 0, latenciesMs: [] };

  constructor(address: string) {
    this.#address = address;
  }

  /** Resolves when all are subscribed. */
  async open(count: number, fromBeginning: boolean): Promise<void> {
    this.take();
    this.#subscribers = Array.from({ length: count }, () => this.#subscribe(fromBeginning));
    await Promise.all(this.#subscribers.map(({ call }) => new Promise((resolve) => call.once('metadata', resolve))));
  }

  /** What has come since the last time. */
  take(): Received {
    const received = this.#received;
    this.#received = { records: 0, missed: 0, latenciesMs: [] };
    return received;
  }

  /** Records that the one with the fewest has. */
  fewest(): number {
    return Math.min(...this.#subscribers.map(({ records }) => records));
  }

  close(): void {
    for (const { client, call } of this.#subscribers) {
      call.cancel();
      client.close();
    }
    this.#subscribers = [];
  }

  #subscribe(fromBeginning: boolean): Subscriber {
    // Otherwise they would share one connection.
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    const client = new DetectionServiceClient(this.#address, credentials.createInsecure(), options);
    const call = client.subscribe(SubscribeRequest.fromPartial({ fromBeginning }));
    const subscriber: Subscriber = { client, call, records: 0 };
    call.on('error', () => undefined);
    call.on('data', ({ record, missed }: SubscribeResponse) => {
      for (const { count } of missed) this.#received.missed += Number(count);
      if (record === undefined) return;
      subscriber.records += 1;
      this.#received.records += 1;
      this.#received.latenciesMs.push(unixMs() - Number(record.captureTime?.unixNs ?? 0n) / 1e6);
    });
    return subscriber;
  }
}

const unixMs = (): number => performance.timeOrigin + performance.now();

const [address = ''] = process.argv.slice(2);
serveParent(new Subscribers(address));
