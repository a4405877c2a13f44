import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import { callSignal } from '../../lib/call_signal.js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';
import type {
  DetectionServiceServer,
  SubscribeRequest,
  SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { RecordFollower } from './record_follower.js';
import type { RecordFilter, RecordHub, RecordListener } from './record_hub.js';
import { RecordOutlet } from './record_outlet.js';
import { asksForStored, startOf, type StoredRecords } from './record_start.js';
import type { Streams } from './streams.js';

type Call = ServerWritableStream<SubscribeRequest, SubscribeResponse>;

const HEARTBEAT_MS = 10_000;
const SHORTEST_HEARTBEAT_MS = 100;
const LONGEST_HEARTBEAT_MS = 3_600_000;

/** The filter that a request asks for. Throws OPTION_INVALID, STREAM_NOT_FOUND. */
export function recordFilter(
  request: SubscribeRequest,
  streams: Pick<Streams, 'require'>,
): RecordFilter {
  const { streamIds, labels, minConfidence, onlyWithDetections, tensors, trackIds } = request;
  if (!(minConfidence >= 0 && minConfidence <= 1)) {
    throw new FramebusError('OPTION_INVALID', `min_confidence: ${minConfidence} is not within 0 to 1`);
  }
  if (trackIds.includes(0n)) throw new FramebusError('OPTION_INVALID', 'track_ids: 0 is no track; it stands for "not tracked"');
  for (const id of streamIds) streams.require(id);
  return {
    streamIds: new Set(streamIds),
    labels: new Set(labels),
    minConfidence,
    onlyWithDetections,
    tensors,
    trackIds: new Set(trackIds),
  };
}

/** Throws OPTION_INVALID. */
function heartbeatMs({ heartbeatMs: asked }: SubscribeRequest): number {
  if (asked === 0) return HEARTBEAT_MS;
  if (asked >= SHORTEST_HEARTBEAT_MS && asked <= LONGEST_HEARTBEAT_MS) return asked;
  const limits = `${SHORTEST_HEARTBEAT_MS} to ${LONGEST_HEARTBEAT_MS}`;
  throw new FramebusError('OPTION_INVALID', `heartbeat_ms: ${asked} is not within ${limits}`);
}

/** A subscriber: what offers it records, and its way out. */
interface Subscriber {
  listener: RecordListener & { resume(): void };
  outlet: RecordOutlet;
  close(): void;
}

/** Serves records to gRPC clients. */
export class DetectionServiceImpl {
  readonly #hub: RecordHub;
  readonly #streams: Pick<Streams, 'require'>;
  readonly #stored: StoredRecords;
  /** Calls, and who they are for once that is known. */
  readonly #calls = new Map<Call, Subscriber | null>();
  #closed = false;

  constructor(hub: RecordHub, streams: Pick<Streams, 'require'>, stored: StoredRecords) {
    this.#hub = hub;
    this.#streams = streams;
    this.#stored = stored;
  }

  get handlers(): DetectionServiceServer {
    return {
      subscribe: (call: Call) => {
        const gone = callSignal(call);
        if (gone.aborted) return;
        this.#calls.set(call, null);
        call.on('close', () => {
          this.#forget(call);
        });
        gone.addEventListener('abort', () => {
          this.#forget(call);
          call.end();
        });
        this.#subscribe(call).catch((error: unknown) => {
          this.#end(call, error);
        });
      },
    };
  }

  /** Ends all subscriptions with UNAVAILABLE. */
  close(): void {
    this.#closed = true;
    for (const call of [...this.#calls.keys()]) this.#end(call, stopping());
  }

  /** What was stored is gone: ends the subscriptions that read it. */
  remade(): void {
    for (const [call, subscriber] of [...this.#calls]) {
      if (!(subscriber?.listener instanceof RecordFollower)) continue;
      this.#end(call, new FramebusError('CURSOR_UNKNOWN', 'the stored records went with the NATS server'));
    }
  }

  async #subscribe(call: Call): Promise<void> {
    if (this.#closed) throw stopping();
    const { request } = call;
    const filter = recordFilter(request, this.#streams);
    const pauseMs = heartbeatMs(request);
    const subscriber = asksForStored(request)
      ? await this.#follower(call, filter, pauseMs)
      : this.#onlooker(call, filter, pauseMs);
    if (!this.#calls.has(call)) {
      subscriber.close();
      return;
    }
    this.#calls.set(call, subscriber);
    call.on('drain', () => {
      subscriber.outlet.resume();
      subscriber.listener.resume();
    });
    // Tells the client that it is subscribed before the first record comes.
    call.sendMetadata(new Metadata());
    subscriber.outlet.beat();
    if (subscriber.listener instanceof RecordFollower) subscriber.listener.start();
  }

  /** One who sees what comes from now on. */
  #onlooker(call: Call, filter: RecordFilter, pauseMs: number): Subscriber {
    const outlet = new RecordOutlet((response) => call.write(response), pauseMs);
    const head = this.#stored.head();
    if (head !== null) outlet.pass(head);
    const listener = this.#hub.subscribe(filter, outlet);
    return {
      listener,
      outlet,
      close: () => {
        this.#hub.unsubscribe(listener);
        outlet.close();
      },
    };
  }

  /** One who gets every stored record. */
  async #follower(call: Call, filter: RecordFilter, pauseMs: number): Promise<Subscriber> {
    const start = await startOf(call.request, this.#stored);
    const reader = this.#stored.reader();
    const outlet = new RecordOutlet((response) => call.write(response), pauseMs);
    const store = {
      head: () => this.#stored.head(),
      first: async () => (await this.#stored.state()).first,
      read: (from: number, most: number) => reader.read(from, most),
    };
    const listener = new RecordFollower(filter, outlet, store, start.cursor);
    if (start.expired > 0) outlet.miss(start.expired, MissedReason.MISSED_REASON_EXPIRED);
    this.#hub.add(listener);
    return {
      listener,
      outlet,
      close: () => {
        this.#hub.unsubscribe(listener);
        listener.close();
        outlet.close();
        reader.close();
      },
    };
  }

  #end(call: Call, error: unknown): void {
    if (!this.#calls.has(call)) return;
    this.#forget(call);
    call.emit('error', toGrpcError(error));
  }

  #forget(call: Call): void {
    this.#calls.get(call)?.close();
    this.#calls.delete(call);
  }
}

function stopping(): FramebusError {
  return new FramebusError('SHUTTING_DOWN', 'DetectionService: the sink is stopping');
}
