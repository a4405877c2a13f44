import type { ConcealConfig } from '../../lib/config.js';
import { plainLabel } from '../../lib/config/concealed_labels.js';
import type { OverlayConcealed } from '../../native/contract.js';
import type { BoundingBox, Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';

/** Boxes are rarely exact: so much more of their sides is concealed, on each side. */
const MARGIN = 0.1;
/** Nobody knows what is in a picture when the last look is longer ago: all of it is concealed. */
const LOOKED_NS = 2_000_000_000n;
/** A tracked object that is not seen is concealed for so long where it was last. */
const MISSED_NS = 1_000_000_000n;
/** The whole picture, whatever its size. */
const EVERYTHING: BoundingBox = { x: 0, y: 0, width: Infinity, height: Infinity };

/** A box in fractions of another one. */
type Inside = BoundingBox;

/** A tracked object that is concealed, or has parts that are. */
interface Hidden {
  /** Whether all of it is. */
  whole: boolean;
  box: BoundingBox;
  /** Where its track has it. */
  trackBox: BoundingBox;
  /** By the model that looks for parts: what it has found when it looked last. */
  parts: Map<string, Inside[]>;
  seenNs: bigint;
}

type Seen = Pick<DetectionRecord, 'status' | 'detections' | 'masks' | 'endedTrackIds' | 'width' | 'height'>;

/**
 * What of the frames of one stream nobody may recognise. Where there is doubt more is
 * concealed: what was seen stays concealed until somebody has looked again, objects that are
 * missed for a moment and parts that were not looked for stay so, and a picture that nobody
 * has looked at for long is concealed as a whole.
 */
export class Concealment {
  readonly #labels: ReadonlySet<string>;
  readonly #with: ConcealConfig['with'];
  /** Until their tracks end. */
  readonly #tracked = new Map<bigint, Hidden>();
  /** Of the last frame that was looked at. */
  #untracked: BoundingBox[] = [];
  #lookedNs: bigint | null = null;
  #size = '';

  constructor({ labels, with: way }: ConcealConfig) {
    this.#labels = new Set(labels.map(plainLabel));
    this.#with = way;
  }

  /** Of the frame that a record is of; call it in order. `atNs`: when the frame was decoded, monotonic. */
  next(seen: Seen, atNs: bigint): OverlayConcealed[] {
    if (this.#labels.size === 0) return [];
    this.#begin(`${seen.width}×${seen.height}`);
    for (const trackId of seen.endedTrackIds) this.#tracked.delete(trackId);
    for (const detection of seen.detections) if (detection.trackId !== 0n) this.#track(detection, atNs);
    if (seen.status === InferenceStatus.INFERENCE_STATUS_INFERRED) {
      this.#lookedNs = atNs;
      const masks = seen.masks.filter(({ label }) => this.#meant(label));
      const detections = seen.detections.filter(({ trackId }) => trackId === 0n);
      this.#untracked = [...masks.flatMap(maskBox), ...detections.flatMap((one) => this.#boxes(one))];
    }
    const looked = this.#lookedNs !== null && atNs - this.#lookedNs <= LOOKED_NS;
    const boxes = looked ? [...this.#untracked, ...this.#trackedBoxes(atNs)] : [EVERYTHING];
    return boxes.map((box) => ({ ...grown(box), with: this.#with }));
  }

  /** Boxes of another size mean nothing. */
  #begin(size: string): void {
    if (size === this.#size) return;
    this.#size = size;
    this.#tracked.clear();
    this.#untracked = [];
    this.#lookedNs = null;
  }

  #meant(label: string): boolean {
    return this.#labels.has(plainLabel(label));
  }

  #boxes({ label, box, parts }: Detection): BoundingBox[] {
    return [...(this.#meant(label) ? [box ?? EVERYTHING] : []), ...parts.flatMap((part) => this.#boxes(part))];
  }

  #track({ trackId, label, box = EVERYTHING, trackBox = box, parts, lookedBy }: Detection, atNs: bigint): void {
    const hidden = this.#tracked.get(trackId) ?? { whole: false, box, trackBox, parts: new Map<string, Inside[]>(), seenNs: atNs };
    hidden.whole ||= this.#meant(label);
    hidden.box = box;
    hidden.trackBox = trackBox;
    hidden.seenNs = atNs;
    for (const model of new Set([...lookedBy, ...parts.map((part) => part.model)])) {
      const found = parts.filter((part) => part.model === model).flatMap((part) => this.#boxes(part));
      hidden.parts.set(model, found.map((part) => insideOf(part, box)));
    }
    this.#tracked.set(trackId, hidden);
  }

  #trackedBoxes(atNs: bigint): BoundingBox[] {
    return [...this.#tracked.values()].flatMap(({ whole, box, trackBox, parts, seenNs }) => {
      if (atNs - seenNs > MISSED_NS) return [];
      return [...(whole ? [box, ...(isSame(box, trackBox) ? [] : [trackBox])] : []), ...[...parts.values()].flat().map((part) => outOf(part, box))];
    });
  }
}

const isSame = (a: BoundingBox, b: BoundingBox): boolean => a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;

function grown({ x, y, width, height }: BoundingBox): BoundingBox {
  const [across, down] = [width * MARGIN, height * MARGIN];
  return { x: x - across, y: y - down, width: width + 2 * across, height: height + 2 * down };
}

function insideOf(part: BoundingBox, { x, y, width, height }: BoundingBox): Inside {
  return { x: (part.x - x) / width, y: (part.y - y) / height, width: part.width / width, height: part.height / height };
}

function outOf(part: Inside, { x, y, width, height }: BoundingBox): BoundingBox {
  return { x: x + part.x * width, y: y + part.y * height, width: part.width * width, height: part.height * height };
}

/** The box around all cells of a mask; none where there is no cell. */
function maskBox({ area, width: columns, height: rows, runs }: SegmentationMask): BoundingBox[] {
  const extent = { left: columns, top: rows, right: 0, bottom: 0 };
  let at = 0;
  for (const [index, length] of runs.entries()) {
    const end = at + length;
    if (index % 2 === 1 && length > 0) {
      const oneRow = Math.floor(at / columns) === Math.floor((end - 1) / columns);
      extent.left = Math.min(extent.left, oneRow ? at % columns : 0);
      extent.right = Math.max(extent.right, oneRow ? ((end - 1) % columns) + 1 : columns);
      extent.top = Math.min(extent.top, Math.floor(at / columns));
      extent.bottom = Math.max(extent.bottom, Math.floor((end - 1) / columns) + 1);
    }
    at = end;
  }
  if (extent.right === 0) return [];
  if (!area) return [EVERYTHING];
  const [cellWidth, cellHeight] = [area.width / columns, area.height / rows];
  return [
    {
      x: area.x + extent.left * cellWidth,
      y: area.y + extent.top * cellHeight,
      width: (extent.right - extent.left) * cellWidth,
      height: (extent.bottom - extent.top) * cellHeight,
    },
  ];
}
