import type { SecondaryConfig } from '../../lib/config.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { FrameRegion } from '../../native/contract.js';
import type { Detection, DetectionAttribute } from '#proto/framebus/detection/v1/detection.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ROW } from './frame_boxes.js';
import { toDetections, toFrameMessages } from './result_findings.js';
import type { LeasedFrame } from './leased_frame.js';
import type { Refinement, SecondStage } from './second_stage.js';
import type { TrackMemory } from './track_memory.js';
import { TurnRecord } from './turn_record.js';
import type { BatchRun, Seen, Work } from './work.js';

export interface CropStageParts {
  /** Models that look at what was found in a stream. */
  secondaries: (streamId: string) => readonly SecondaryConfig[];
  /** A served model; undefined while it is not loaded. */
  model: (name: string) => { addWork(work: Work): void } | undefined;
  /** What is known of the streams' objects over time. */
  tracks: Pick<TrackMemory, 'isDue'>;
  log: Log;
}

/** One detection of a frame: its box and label. */
interface Found {
  index: number;
  box: FrameRegion;
  classId: number;
  label: string;
}

/** What one crop was found to be. */
interface CropFindings {
  index: number;
  attributes: DetectionAttribute[];
  parts: Detection[];
  /** Manifest of the model; null: it could not look. */
  model: string | null;
}

/**
 * Secondary models: each detection that they are meant for is cut out of the leased
 * frame and shown to them, batched with crops of other frames and streams. What
 * cannot be looked at stays without their results; the frame goes out in any case.
 */
export class CropStage implements SecondStage {
  readonly #parts: CropStageParts;
  readonly #turns = new TurnRecord();
  readonly #limit = new LogLimit();

  constructor(parts: CropStageParts) {
    this.#parts = parts;
  }

  refine(leased: LeasedFrame, { rows }: Seen, { manifest }: BatchRun): Promise<Refinement> | null {
    const crops = this.#parts.secondaries(leased.streamId).flatMap((secondary) => this.#crops(leased, rows, manifest, secondary));
    return crops.length === 0 ? null : Promise.all(crops).then((findings) => refinement(rows.length / ROW, findings));
  }

  #crops({ streamId, frame, lease, deadlineMs }: LeasedFrame, rows: Float32Array, { labels }: ModelManifest, secondary: SecondaryConfig): Promise<CropFindings>[] {
    const chosen = found(rows, labels).filter(
      ({ box, label }) =>
        Math.min(box.width, box.height) >= secondary.minSize && (secondary.labels.length === 0 || secondary.labels.includes(label)),
    );
    const model = this.#parts.model(secondary.model);
    if (model === undefined) return [];
    return this.#due(chosen, frame, secondary).map(({ index, box }) => {
      return new Promise((resolve) => {
        const without = (reason: string): void => {
          this.#warn(secondary.model, reason);
          resolve({ index, attributes: [], parts: [], model: null });
        };
        model.addWork({
          streamId,
          oneABatch: false,
          deadlineMs,
          lease,
          leasedNs: process.hrtime.bigint(),
          region: box,
          filter: '',
          done: (seen, run) => resolve({ index, ...cropFindings(seen, run) }),
          failed: without,
          expired: without,
        });
      });
    });
  }

  /** An object that is known: counted by itself. What is not: by frames of the stream. */
  #due(chosen: readonly Found[], frame: FrameDescriptor, { model, interval }: SecondaryConfig): Found[] {
    if (interval === 0) return [...chosen];
    let isTurn: boolean | null = null;
    return chosen.filter(({ box, classId }) => {
      const due = this.#parts.tracks.isDue({ frame, box, classId }, model, interval);
      if (due !== null) return due;
      isTurn ??= this.#turns.take(`${frame.streamId}/${model}`, frame, interval);
      return isTurn;
    });
  }

  #warn(model: string, reason: string): void {
    const skipped = this.#limit.take(model);
    if (skipped !== null) this.#parts.log.warn({ model, skipped }, `a secondary model could not look: ${reason}`);
  }
}

function found(rows: Float32Array, labels: ReadonlyMap<number, string>): Found[] {
  return Array.from({ length: rows.length / ROW }, (_, index) => {
    const [x = 0, y = 0, width = 0, height = 0, , channel = 0] = rows.subarray(index * ROW, (index + 1) * ROW);
    return { index, box: { x, y, width, height }, classId: channel, label: labels.get(channel) ?? '' };
  });
}

/** What a secondary model has seen in one crop; boxes are in pixels of the whole frame already. */
function cropFindings({ rows, findings }: Seen, { manifest }: BatchRun): Omit<CropFindings, 'index'> {
  const { name: model, labels } = manifest;
  const { classifications } = toFrameMessages(findings, labels);
  const parts = toDetections(rows, labels, findings.landmarks).map((part) => ({ ...part, model }));
  return { attributes: classifications.map((classification) => ({ model, ...classification })), parts, model };
}

function refinement(detections: number, findings: readonly CropFindings[]): Refinement {
  const attributes = Array.from({ length: detections }, (): DetectionAttribute[] => []);
  const parts = Array.from({ length: detections }, (): Detection[] => []);
  const lookedBy = Array.from({ length: detections }, (): string[] => []);
  for (const one of findings) {
    attributes[one.index]?.push(...one.attributes);
    parts[one.index]?.push(...one.parts);
    if (one.model !== null) lookedBy[one.index]?.push(one.model);
  }
  return { attributes, parts, lookedBy };
}
