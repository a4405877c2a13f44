import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { addonPath } from '../../native/index.js';

/** The engine of native/test/engine/reference_engine.c; built with the addon, and lying beside it. */
export const REFERENCE_ENGINE = path.join(path.dirname(addonPath()), 'libreference_engine.so');

export interface ReferenceModel {
  input?: string;
  width: number;
  height: number;
  /** Side of a cell. */
  cell: number;
  /** Of the three channels. */
  weights?: readonly [number, number, number];
  threshold: number;
  maxBatch: number;
}

/** Writes a model for the reference engine; returns its path. */
export function writeReferenceModel(file: string, model: ReferenceModel): string {
  const { input = 'images', width, height, cell, weights = [1, 1, 1], threshold, maxBatch } = model;
  writeFileSync(
    file,
    `framebus-reference 1\ninput ${input} ${width} ${height}\ncell ${cell}\nweights ${weights.join(' ')}\n` +
      `threshold ${threshold}\nmax_batch ${maxBatch}\n`,
  );
  return file;
}
