/**
 * Every subject, JetStream stream and consumer name on NATS, in one place.
 * Read well as `import * as subjects from '…/lib/subjects.js'`.
 */

/** Version of every message on NATS. Raise it when an old reader would misread a new message. */
export const SCHEMA_VERSION = 1;

/** What a stream, model or instance may be called: it becomes one token of a subject. */
export const NAME = /^[A-Za-z0-9_-]{1,64}$/;

function token(name: string): string {
  if (!NAME.test(name)) throw new RangeError(`"${name}" is no name: use 1 to 64 of A-Z a-z 0-9 _ -`);
  return name;
}

/** Newest frame of a stream for a model's workers. The model is in it because a 2.9 consumer has one filter. */
export const frames = (model: string, stream: string): string =>
  `fb.frames.${token(model)}.${token(stream)}`;
/** Frames of `lossless` streams. */
export const losslessFrames = (model: string, stream: string): string =>
  `fb.lossless.${token(model)}.${token(stream)}`;
/** Results on their way to sink. */
export const results = (stream: string): string => `fb.results.${token(stream)}`;
/** What sink knows of a stream's objects, for the workers. */
export const tracks = (stream: string): string => `fb.tracks.${token(stream)}`;
/** Events that others have seen, for sink to record: TriggerMessage as JSON. */
export const triggers = (stream: string): string => `fb.triggers.${token(stream)}`;
/** Final records. */
export const detections = (stream: string): string => `fb.detections.${token(stream)}`;
/** Status of one service instance. */
export const status = (service: string, instance: string): string =>
  `fb.status.${token(service)}.${token(instance)}`;

/** Requests to a stream's owner for a tap. */
export const tapRequests = (stream: string): string => `fb.tap.${token(stream)}`;
/** Frames of a tap for one of its members. */
export const tapFrames = (stream: string, group: string, member: string): string =>
  `fb.taps.${token(stream)}.${token(group)}.${token(member)}`;

/** The frames of a model's streams: filter of the workers' shared consumer. */
export const framesOfModel = (model: string): string => `fb.frames.${token(model)}.*`;
export const losslessFramesOfModel = (model: string): string => `fb.lossless.${token(model)}.*`;

export const ALL_FRAMES = 'fb.frames.*.*';
export const ALL_LOSSLESS_FRAMES = 'fb.lossless.*.*';
export const ALL_RESULTS = 'fb.results.*';
export const ALL_DETECTIONS = 'fb.detections.*';
export const ALL_TRACKS = 'fb.tracks.*';
export const ALL_TRIGGERS = 'fb.triggers.*';
export const ALL_STATUS = 'fb.status.*.*';

/** JetStream streams that carry descriptors to the workers. */
export const FRAME_STREAM = 'FB_FRAMES';
export const LOSSLESS_FRAME_STREAM = 'FB_FRAMES_LOSSLESS';

/** JetStream stream that keeps final records. */
export const RECORD_STREAM = 'FB_DETECTIONS';

/** Durable pull consumer that the workers of a model share. */
export const frameConsumer = (model: string): string => `infer-${token(model)}`;
export const losslessFrameConsumer = (model: string): string => `infer-lossless-${token(model)}`;

/** Key-value bucket of what was changed while running; see lib/desired_state.ts. */
export const DESIRED_STATE_BUCKET = 'FRAMEBUS';
/** Key of what was changed of a stream: a DesiredStream. */
export const desiredStream = (stream: string): string => `stream.${token(stream)}`;
/** Key of what shall serve a name: a DesiredModel. */
export const desiredModel = (model: string): string => `model.${token(model)}`;
export const ALL_DESIRED_STREAMS = 'stream.*';
export const ALL_DESIRED_MODELS = 'model.*';
/** Name of the stream or model in a key. */
export const nameOfKey = (key: string): string => key.slice(key.indexOf('.') + 1);
