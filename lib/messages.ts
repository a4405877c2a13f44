import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { FrameMessage } from '#proto/framebus/frame/v1/frame.js';
import { DesiredModel } from '#proto/framebus/model/v1/served_model.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { DesiredStream } from '#proto/framebus/stream/v1/stream_settings.js';
import { TrackHints } from '#proto/framebus/track/v1/track_hints.js';
import { TapFrame, TapRequest, TapResponse } from '#proto/framebus/tap/v1/tap.js';
import { FramebusError, messageOf } from './errors.js';
import { SCHEMA_VERSION } from './subjects.js';

/** A generated message that carries its schema version. */
interface Versioned {
  schemaVersion: number;
}

interface Codec<T extends Versioned> {
  encode(message: T): { finish(): Uint8Array };
  decode(data: Uint8Array): T;
}

/** What the sender fills in; the version is ours. */
export type Unversioned<T extends Versioned> = Omit<T, 'schemaVersion'>;

function encode<T extends Versioned>(codec: Codec<T>, message: Unversioned<T>): Uint8Array {
  return codec.encode({ ...message, schemaVersion: SCHEMA_VERSION } as T).finish();
}

/** Throws MESSAGE_MALFORMED, MESSAGE_VERSION. */
function decode<T extends Versioned>(name: string, codec: Codec<T>, data: Uint8Array): T {
  let message: T;
  try {
    message = codec.decode(data);
  } catch (error) {
    throw new FramebusError('MESSAGE_MALFORMED', `${name}: ${messageOf(error)}`, { cause: error });
  }
  if (message.schemaVersion !== SCHEMA_VERSION) {
    throw new FramebusError(
      'MESSAGE_VERSION',
      `${name}: schema version ${message.schemaVersion}, this program knows ${SCHEMA_VERSION}`,
    );
  }
  return message;
}

/** A frame for the workers of a model. */
export const encodeFrame = (message: Unversioned<FrameMessage>): Uint8Array =>
  encode(FrameMessage, message);
export const decodeFrame = (data: Uint8Array): FrameMessage =>
  decode('FrameMessage', FrameMessage, data);

/** What was seen in a frame, for sink. */
export const encodeResult = (message: Unversioned<ResultMessage>): Uint8Array =>
  encode(ResultMessage, message);
export const decodeResult = (data: Uint8Array): ResultMessage =>
  decode('ResultMessage', ResultMessage, data);

/** The final record of a frame, for subscribers. */
export const encodeRecord = (message: Unversioned<DetectionRecord>): Uint8Array =>
  encode(DetectionRecord, message);
export const decodeRecord = (data: Uint8Array): DetectionRecord =>
  decode('DetectionRecord', DetectionRecord, data);

/** How a service instance is. */
export const encodeStatus = (message: Unversioned<ServiceStatus>): Uint8Array =>
  encode(ServiceStatus, message);
export const decodeStatus = (data: Uint8Array): ServiceStatus =>
  decode('ServiceStatus', ServiceStatus, data);

/** What a consumer asks of a stream's owner. */
export const encodeTapRequest = (message: Unversioned<TapRequest>): Uint8Array =>
  encode(TapRequest, message);
export const decodeTapRequest = (data: Uint8Array): TapRequest =>
  decode('TapRequest', TapRequest, data);

/** What the owner answers. */
export const encodeTapResponse = (message: Unversioned<TapResponse>): Uint8Array =>
  encode(TapResponse, message);
export const decodeTapResponse = (data: Uint8Array): TapResponse =>
  decode('TapResponse', TapResponse, data);

/** A frame for a member of a tap. */
export const encodeTapFrame = (message: Unversioned<TapFrame>): Uint8Array =>
  encode(TapFrame, message);
export const decodeTapFrame = (data: Uint8Array): TapFrame =>
  decode('TapFrame', TapFrame, data);

/** What was changed of a stream while it ran. */
export const encodeDesiredStream = (message: Unversioned<DesiredStream>): Uint8Array =>
  encode(DesiredStream, message);
export const decodeDesiredStream = (data: Uint8Array): DesiredStream =>
  decode('DesiredStream', DesiredStream, data);

/** What shall serve a name. */
export const encodeDesiredModel = (message: Unversioned<DesiredModel>): Uint8Array =>
  encode(DesiredModel, message);
export const decodeDesiredModel = (data: Uint8Array): DesiredModel =>
  decode('DesiredModel', DesiredModel, data);

/** What sink knows of a stream's objects. */
export const encodeTrackHints = (message: Unversioned<TrackHints>): Uint8Array =>
  encode(TrackHints, message);
export const decodeTrackHints = (data: Uint8Array): TrackHints =>
  decode('TrackHints', TrackHints, data);
