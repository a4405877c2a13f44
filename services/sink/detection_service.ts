import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';
import type {
  DetectionServiceServer,
  SubscribeRequest,
  SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import type { RecordFilter, RecordHub } from './record_hub.js';
import type { Streams } from './streams.js';

type Call = ServerWritableStream<SubscribeRequest, SubscribeResponse>;

/** The filter that a request asks for. Throws OPTION_INVALID, STREAM_NOT_FOUND. */
export function recordFilter(
  request: SubscribeRequest,
  streams: Pick<Streams, 'require'>,
): RecordFilter {
  const { streamIds, labels, minConfidence, onlyWithDetections, tensors } = request;
  if (!(minConfidence >= 0 && minConfidence <= 1)) {
    throw new FramebusError('OPTION_INVALID', `min_confidence: ${minConfidence} is not within 0 to 1`);
  }
  for (const id of streamIds) streams.require(id);
  return {
    streamIds: new Set(streamIds),
    labels: new Set(labels),
    minConfidence,
    onlyWithDetections,
    tensors,
  };
}

/** Serves records to gRPC clients. */
export class DetectionServiceImpl {
  readonly #hub: RecordHub;
  readonly #streams: Pick<Streams, 'require'>;
  readonly #calls = new Set<Call>();
  #closed = false;

  constructor(hub: RecordHub, streams: Pick<Streams, 'require'>) {
    this.#hub = hub;
    this.#streams = streams;
  }

  get handlers(): DetectionServiceServer {
    return {
      subscribe: (call: Call) => {
        this.#subscribe(call);
      },
    };
  }

  /** Ends all subscriptions with UNAVAILABLE. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.emit('error', stopping());
  }

  #subscribe(call: Call): void {
    let filter: RecordFilter;
    try {
      if (this.#closed) throw new FramebusError('SHUTTING_DOWN', 'DetectionService: stopping');
      filter = recordFilter(call.request, this.#streams);
    } catch (error) {
      call.emit('error', toGrpcError(error));
      return;
    }
    this.#calls.add(call);
    const subscription = this.#hub.subscribe(filter, {
      write: (response) => call.write(response),
    });
    call.on('drain', () => {
      subscription.resume();
    });
    call.on('close', () => {
      this.#calls.delete(call);
      this.#hub.unsubscribe(subscription);
    });
    call.on('cancelled', () => {
      this.#hub.unsubscribe(subscription);
      call.end();
    });
    // Tells the client that it is subscribed before the first record comes.
    call.sendMetadata(new Metadata());
  }
}

function stopping(): Error {
  return toGrpcError(new FramebusError('SHUTTING_DOWN', 'DetectionService: the sink is stopping'));
}
