import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { intersectionOverUnion, type Box } from './recall.js';

/** Labelled photos: file name without suffix → labelled boxes. */
export type LabelledPhotos = ReadonlyMap<string, readonly (Box & { label: string })[]>;

/** A detection in one of the photos. */
export interface PhotoDetection extends Box {
  photo: string;
  label: string;
  confidence: number;
}

/** Reads a folder of `NAME.txt` with lines `label x1 y1 x2 y2` (VOC 2007 as in Cartucho's mAP). */
export function readGroundTruth(folder: string): LabelledPhotos {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return new Map(
    files.toSorted().map((name) => {
      const lines = readFileSync(path.join(folder, name), 'utf8').split('\n').filter((line) => line.trim() !== '');
      return [name.replace('.txt', ''), lines.map(readLine)];
    }),
  );
}

function readLine(line: string): Box & { label: string } {
  const [label = '', ...numbers] = line.trim().split(/\s+/);
  const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = numbers.map(Number);
  return { label, x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
}

/** Number of true boxes of each label. */
export function labelCounts(truth: LabelledPhotos): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { label } of [...truth.values()].flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}

/**
 * Average precision of one label at IoU 0.5, as VOC 2012 counts it: the best
 * overlap decides, each true box counts once, area under the precision that is
 * made monotonic.
 */
export function averagePrecision(label: string, truth: LabelledPhotos, detections: readonly PhotoDetection[], iou = 0.5): number {
  const total = labelCounts(truth).get(label) ?? 0;
  const used = new Set<Box>();
  const ranked = detections.filter((d) => d.label === label).toSorted((a, b) => b.confidence - a.confidence);
  const points: { recall: number; precision: number }[] = [];
  let right = 0;
  for (const [index, detection] of ranked.entries()) {
    const boxes = (truth.get(detection.photo) ?? []).filter((box) => box.label === label);
    const best = boxes.toSorted((a, b) => intersectionOverUnion(b, detection) - intersectionOverUnion(a, detection))[0];
    if (best !== undefined && intersectionOverUnion(best, detection) >= iou && !used.has(best)) {
      used.add(best);
      right += 1;
    }
    points.push({ recall: right / total, precision: right / (index + 1) });
  }
  return areaUnder(points);
}

function areaUnder(points: readonly { recall: number; precision: number }[]): number {
  let area = 0;
  let envelope = 0;
  for (let index = points.length - 1; index >= 0; index--) {
    envelope = Math.max(envelope, points[index]?.precision ?? 0);
    area += envelope * ((points[index]?.recall ?? 0) - (points[index - 1]?.recall ?? 0));
  }
  return area;
}
