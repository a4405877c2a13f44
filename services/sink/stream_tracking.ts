import type { TrackerConfig } from '../../lib/config.js';
import type { Unversioned } from '../../lib/messages.js';
import type { BoundingBox, Detection, DetectionAttribute } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { TrackHint, TrackHints } from '#proto/framebus/track/v1/track_hints.js';
import { createTracker, type TrackerOptions } from './tracking/create_tracker.js';
import type { TrackedBox, Tracker, TrackerDetection } from './tracking/tracker.js';

/** A frame's detections with their tracks. */
export interface TrackedFrame {
  /** What was seen; in frames that nobody looked at, where tracked objects are expected. */
  detections: Detection[];
  endedTrackIds: bigint[];
}

/** Boxes are expected for so long after the last look; further on nobody could know. */
const EXPECTED_MS = 1_000;

/** What is known of an object beside its place. */
interface TrackedObject {
  label: string;
  /** By secondary model. */
  attributes: Map<string, DetectionAttribute[]>;
  /** By secondary model: number of the frame in which it looked last. */
  looked: Map<string, bigint>;
}

/** Follows the objects of one stream, and remembers what secondary models said of them. Frames come in order. */
export class StreamTracking {
  readonly #tracker: Tracker;
  readonly #objects = new Map<bigint, TrackedObject>();
  #size = '';
  readonly #tell: ((hints: Unversioned<TrackHints>) => void) | null;

  /**
   * @param epoch see `createTracker`
   * @param tell gets what workers should know, after each frame that was looked at; null: nobody asks
   */
  constructor(
    config: TrackerConfig & { kind: 'byte' | 'oc_sort' },
    epoch: number,
    tell: ((hints: Unversioned<TrackHints>) => void) | null,
  ) {
    this.#tracker = createTracker(epoch, trackerOptions(config));
    this.#tell = tell;
  }

  next({ status, detections, weakDetections }: Pick<ResultMessage, 'status' | 'detections' | 'weakDetections'>, frame: FrameDescriptor): TrackedFrame {
    const size = `${frame.format?.width ?? 0}×${frame.format?.height ?? 0}`;
    // Boxes are in pixels of the frame: of another size they mean nothing.
    const reset = this.#size !== size && this.#size !== '' ? this.#tracker.reset() : [];
    this.#size = size;
    const timeNs = frame.captureTime?.unixNs ?? frame.ptsNs;
    if (status !== InferenceStatus.INFERENCE_STATUS_INFERRED) {
      const expected = this.#tracker.predict(timeNs).filter(({ unseenMs }) => unseenMs <= EXPECTED_MS);
      return { detections: expected.flatMap((track) => this.#expected(track, frame)), endedTrackIds: this.#end(reset) };
    }
    const boxes = [...detections.map((one) => trackable(one, false)), ...weakDetections.map((one) => trackable(one, true))];
    const { trackIds, tracks, ended } = this.#tracker.update({ detections: boxes, timeNs });
    const trackOf = new Map(tracks.map((track) => [track.trackId, track]));
    const tracked = [...detections, ...weakDetections].flatMap((detection, index) => {
      const trackId = trackIds[index] ?? null;
      const isWeak = index >= detections.length;
      // Weak ones are no news by themselves.
      if (trackId === null) return isWeak ? [] : [detection];
      const seen = this.#seen(detection, trackId, boxIn(frame, trackOf.get(trackId)), frame.seq);
      return [isWeak ? asExpected(seen) : seen];
    });
    const { streamId, epoch, seq } = frame;
    this.#tell?.({ streamId, epoch, seq, tracks: tracks.map((track) => this.#hint(track)) });
    return { detections: tracked, endedTrackIds: this.#end([...reset, ...ended]) };
  }

  #seen(detection: Detection, trackId: bigint, trackBox: BoundingBox | undefined, seq: bigint): Detection {
    const object: TrackedObject = this.#objects.get(trackId) ?? { label: detection.label, attributes: new Map(), looked: new Map() };
    this.#objects.set(trackId, object);
    for (const model of detection.lookedBy) {
      object.attributes.set(model, detection.attributes.filter((attribute) => attribute.model === model));
      object.looked.set(model, seq);
    }
    return { ...detection, trackId, trackBox, attributes: [...object.attributes.values()].flat() };
  }

  #expected(track: TrackedBox, frame: FrameDescriptor): Detection[] {
    const { trackId, classId, confidence } = track;
    const box = boxIn(frame, track);
    if (box === undefined) return [];
    const object = this.#objects.get(trackId);
    const attributes: DetectionAttribute[] = object === undefined ? [] : [...object.attributes.values()].flat();
    const rest = { landmarks: [], parts: [], model: '', lookedBy: [] };
    return [{ box, trackBox: box, classId, label: object?.label ?? '', confidence, attributes, trackId, predicted: true, ...rest }];
  }

  #hint({ trackId, classId, x, y, width, height }: TrackedBox): TrackHint {
    const looked = this.#objects.get(trackId)?.looked ?? [];
    return { trackId, box: { x, y, width, height }, classId, looked: Object.fromEntries([...looked].map(([model, seq]) => [model, seq + 1n])) };
  }

  #end(ended: readonly { trackId: bigint }[]): bigint[] {
    for (const { trackId } of ended) this.#objects.delete(trackId);
    return ended.map(({ trackId }) => trackId);
  }
}

/** Where the configuration says nothing, the tracker knows best. */
function trackerOptions(config: TrackerConfig & { kind: 'byte' | 'oc_sort' }): TrackerOptions {
  const { kind, highConfidence, lowConfidence, lostMs, confirmHits, newConfidence, minOverlap, inertia } = config;
  const common = {
    ...{ highConfidence, lowConfidence, lostMs, confirmHits },
    ...(newConfidence === null ? {} : { newConfidence }),
    ...(minOverlap === null ? {} : { minOverlap }),
  };
  return kind === 'byte' ? { kind, ...common } : { kind, ...common, inertia };
}

const NO_BOX: BoundingBox = { x: 0, y: 0, width: 0, height: 0 };

const trackable = ({ box, confidence, classId }: Detection, keepsOnly: boolean): TrackerDetection => ({
  ...(box ?? NO_BOX),
  confidence,
  classId,
  keepsOnly,
});

/** Who asks for more confidence takes it for what is expected, not for what was seen. */
const asExpected = (detection: Detection): Detection => ({
  ...detection,
  box: detection.trackBox ?? detection.box,
  landmarks: [],
  predicted: true,
});

/** Within the frame; undefined when nothing is left. */
function boxIn({ format }: FrameDescriptor, box: BoundingBox | undefined): BoundingBox | undefined {
  if (box === undefined) return undefined;
  const { x, y, width, height } = box;
  const [left, top] = [Math.max(0, x), Math.max(0, y)];
  const [right, bottom] = [Math.min(format?.width ?? 0, x + width), Math.min(format?.height ?? 0, y + height)];
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : undefined;
}
