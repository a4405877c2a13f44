import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { StageDurations } from '#proto/framebus/detection/v1/stage_durations.js';
import { classColor, trackNumber } from './overlay.js';

/** One object as the page shows it. */
export interface SeenObject {
  label: string;
  /** 0 to 1. */
  confidence: number;
  /** "#rrggbb", the colour of its class. */
  color: string;
  /** Decimal, because it needs more bits than a number has in a browser; empty: not tracked. */
  trackId: string;
  /** The number that the picture shows; 0: not tracked. */
  track: number;
  /** What secondary models say of it, such as "red". */
  attributes: string[];
}

/** What was seen in a frame, as the page gets it. */
export interface SeenFrame {
  streamId: string;
  seq: number;
  /** Milliseconds since the Unix epoch; 0: not known. */
  captureMs: number;
  /** From the decoder to the record. */
  latencyMs: number;
  items: SeenObject[];
}

export function seenFrame(record: DetectionRecord): SeenFrame {
  return {
    streamId: record.streamId,
    seq: Number(record.seq),
    captureMs: Number((record.captureTime?.unixNs ?? 0n) / 1_000_000n),
    latencyMs: Math.round(Number(record.latencyNs) / 1e6),
    items: record.detections.map(({ label, confidence, classId, trackId, attributes }) => ({
      label,
      confidence,
      color: `#${classColor(classId).toString(16).padStart(6, '0')}`,
      trackId: trackId === 0n ? '' : trackId.toString(),
      track: trackNumber(trackId),
      attributes: attributes.map((attribute) => attribute.label),
    })),
  };
}

/** Milliseconds by stage ("engine"), to the hundredth, in the order of the frame's way; those that it came by. */
export function stagesMs(stages: StageDurations | undefined): Record<string, number> {
  const known = Object.entries(stages ?? {}).filter((entry): entry is [string, bigint] => typeof entry[1] === 'bigint');
  return Object.fromEntries(known.map(([name, ns]) => [name.replace(/Ns$/, ''), Math.round(Number(ns) / 1e4) / 100]));
}
