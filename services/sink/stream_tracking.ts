import type { TrackerConfig } from '../../lib/config.js';
import type { Unversioned } from '../../lib/messages.js';
import type { BoundingBox, Detection, DetectionAttribute } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { TrackHint, TrackHints } from '#proto/framebus/track/v1/track_hints.js';
import { createTracker } from './tracking/create_tracker.js';
import type { TrackedBox, Tracker } from './tracking/tracker.js';

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
    { kind, highConfidence, lowConfidence, lostMs, confirmHits }: TrackerConfig & { kind: 'byte' | 'oc_sort' },
    epoch: number,
    tell: ((hints: Unversioned<TrackHints>) => void) | null,
  ) {
    this.#tracker = createTracker(epoch, { kind, highConfidence, lowConfidence, lostMs, confirmHits });
    this.#tell = tell;
  }

  next({ status, detections }: Pick<ResultMessage, 'status' | 'detections'>, frame: FrameDescriptor): TrackedFrame {
    const size = `${frame.format?.width ?? 0}×${frame.format?.height ?? 0}`;
    // Boxes are in pixels of the frame: of another size they mean nothing.
    const reset = this.#size !== size && this.#size !== '' ? this.#tracker.reset() : [];
    this.#size = size;
    const timeNs = frame.captureTime?.unixNs ?? frame.ptsNs;
    if (status !== InferenceStatus.INFERENCE_STATUS_INFERRED) {
      const expected = this.#tracker.predict(timeNs).filter(({ unseenMs }) => unseenMs <= EXPECTED_MS);
      return { detections: expected.flatMap((track) => this.#expected(track, frame)), endedTrackIds: this.#end(reset) };
    }
    const boxes = detections.map(({ box, confidence, classId }) => ({ ...(box ?? NO_BOX), confidence, classId }));
    const { trackIds, tracks, ended } = this.#tracker.update({ detections: boxes, timeNs });
    const tracked = detections.map((detection, index) => this.#seen(detection, trackIds[index] ?? null, frame.seq));
    const { streamId, epoch, seq } = frame;
    this.#tell?.({ streamId, epoch, seq, tracks: tracks.map((track) => this.#hint(track)) });
    return { detections: tracked, endedTrackIds: this.#end([...reset, ...ended]) };
  }

  #seen(detection: Detection, trackId: bigint | null, seq: bigint): Detection {
    if (trackId === null) return detection;
    const object: TrackedObject = this.#objects.get(trackId) ?? { label: detection.label, attributes: new Map(), looked: new Map() };
    this.#objects.set(trackId, object);
    for (const model of detection.lookedBy) {
      object.attributes.set(model, detection.attributes.filter((attribute) => attribute.model === model));
      object.looked.set(model, seq);
    }
    return { ...detection, trackId, attributes: [...object.attributes.values()].flat() };
  }

  #expected({ trackId, classId, confidence, ...box }: TrackedBox, frame: FrameDescriptor): Detection[] {
    const clipped = clip(box, frame.format?.width ?? 0, frame.format?.height ?? 0);
    if (clipped === null) return [];
    const object = this.#objects.get(trackId);
    const attributes: DetectionAttribute[] = object === undefined ? [] : [...object.attributes.values()].flat();
    const rest = { landmarks: [], parts: [], model: '', lookedBy: [] };
    return [{ box: clipped, classId, label: object?.label ?? '', confidence, attributes, trackId, predicted: true, ...rest }];
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

const NO_BOX: BoundingBox = { x: 0, y: 0, width: 0, height: 0 };

/** Within the frame; null when nothing is left. */
function clip({ x, y, width, height }: BoundingBox, frameWidth: number, frameHeight: number): BoundingBox | null {
  const [left, top] = [Math.max(0, x), Math.max(0, y)];
  const [right, bottom] = [Math.min(frameWidth, x + width), Math.min(frameHeight, y + height)];
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}
