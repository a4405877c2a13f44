import type { OsdConfig } from '../../lib/config.js';
import type { Overlay, OverlayText } from '../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { Concealment } from './concealment.js';
import { figuresOf } from './figures.js';
import { HeldOverlay } from './held_overlay.js';
import { emptyOverlay } from './overlay.js';
import { Trails } from './trails.js';

/** Plate of clock and text. */
const PLATE_COLOR = 0x202020;

/** Everything that is drawn on the frames of one stream, in the style that its configuration asks for. */
export class StreamDrawing {
  readonly #osd: OsdConfig;
  readonly #objects: HeldOverlay;
  readonly #trails: Trails;
  readonly #concealment: Concealment;
  /** Of pictures of the latest size. */
  #figures = { size: '', ...figuresOf([], 0, 0) };

  constructor(osd: OsdConfig) {
    this.#osd = osd;
    this.#objects = new HeldOverlay(osd);
    this.#trails = new Trails(osd.trailsMs, osd);
    this.#concealment = new Concealment(osd.conceal);
  }

  /** For the frame of a record; call it in order. `atNs`: when the frame was decoded, monotonic. */
  next(record: DetectionRecord, atNs: bigint): Overlay {
    const { objects, lineWidth, fontSize } = this.#osd;
    const figures = this.#figuresOf(record);
    return {
      ...(objects ? this.#objects.next(record, atNs) : emptyOverlay()),
      concealed: this.#concealment.next(record, atNs),
      lines: [...figures.lines, ...this.#trails.next(record)],
      texts: [...this.#corners(record), ...figures.texts],
      lineWidth,
      fontSize,
    };
  }

  #figuresOf({ width, height }: DetectionRecord): { lines: Overlay['lines']; texts: OverlayText[] } {
    const size = `${width}×${height}`;
    if (size !== this.#figures.size) this.#figures = { size, ...figuresOf(this.#osd.shapes, width, height) };
    return this.#figures;
  }

  /** Time in the right upper corner, text in the left one. */
  #corners({ width, captureTime }: DetectionRecord): OverlayText[] {
    const { clock, text } = this.#osd;
    const time = clock && captureTime ? [{ x: width, y: 0, text: timeText(captureTime.unixNs), color: PLATE_COLOR }] : [];
    return text === '' ? time : [...time, { x: 0, y: 0, text, color: PLATE_COLOR }];
  }
}

/** For example "2026-05-04 13:07:59 UTC". */
function timeText(unixNs: bigint): string {
  return `${new Date(Number(unixNs / 1_000_000n)).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
