import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';
import { NAME } from '../../lib/subjects.js';
import { EventSource } from '#proto/framebus/recording/v1/recorded_event.js';
import type {
  RecordingServiceServer,
  StartRecordingRequest,
  StartRecordingResponse,
  StopRecordingRequest,
  StopRecordingResponse,
} from '#proto/framebus/recording/v1/recording_service.js';
import type { EventRecordings } from './events/event_recordings.js';
import type { Streams } from './streams.js';

const MOST_REASON = 500;

/** Recordings of events, for gRPC clients. */
export function recordingService(streams: Pick<Streams, 'require'>, events: Pick<EventRecordings, 'require'>): RecordingServiceServer {
  const start = async ({ streamId, event, reason, preRollMs, durationMs }: StartRecordingRequest): Promise<StartRecordingResponse> => {
    streams.require(streamId);
    if (event !== '') checkName(event);
    if (reason.length > MOST_REASON) throw new FramebusError('OPTION_INVALID', `reason: must be at most ${MOST_REASON} characters, is ${reason.length}`);
    const source = EventSource.EVENT_SOURCE_CALL;
    const known = events.require(streamId).start({ event, source, reason, preRollMs: preRollMs ?? null, durationMs });
    const file = await known.clip.firstFile();
    return {
      event: known.message.event,
      file,
      preRollMs: known.clip.preRollMs,
      startedUnixNs: known.message.startedUnixNs,
      endsUnixNs: nanoseconds(known.endsUnixMs),
    };
  };
  const stop = ({ streamId, event }: StopRecordingRequest): StopRecordingResponse => {
    streams.require(streamId);
    checkName(event);
    const { message, clip, endsUnixMs } = events.require(streamId).stop(event);
    return { event: message, files: [...clip.files], endsUnixNs: nanoseconds(endsUnixMs) };
  };
  return {
    startRecording: (call: ServerUnaryCall<StartRecordingRequest, StartRecordingResponse>, done: sendUnaryData<StartRecordingResponse>) => {
      answer(() => start(call.request), done);
    },
    stopRecording: (call: ServerUnaryCall<StopRecordingRequest, StopRecordingResponse>, done: sendUnaryData<StopRecordingResponse>) => {
      answer(() => Promise.resolve(stop(call.request)), done);
    },
  };
}

function answer<T>(act: () => Promise<T>, done: sendUnaryData<T>): void {
  Promise.resolve()
    .then(act)
    .then(
      (response) => {
        done(null, response);
      },
      (error: unknown) => {
        done(toGrpcError(error));
      },
    );
}

function checkName(event: string): void {
  if (!NAME.test(event)) throw new FramebusError('OPTION_INVALID', 'event: must be 1 to 64 of A-Z a-z 0-9 _ -');
}

const nanoseconds = (unixMs: number): bigint => BigInt(unixMs) * 1_000_000n;
