import type { ResultMessage } from '#proto/framebus/result/v1/result.js';

/** What one block of the service came to. */
export interface ServiceFigures {
  framesPerSecond: number;
  /** Frames in a batch, on the average. */
  meanBatch: number;
  /** Milliseconds of a batch, and of the time between two: where the rest of the time goes. */
  batchMs: { preprocess: number; engine: number; decode: number; gap: number };
}

interface Batch {
  frames: number;
  startedNs: bigint;
  preprocessedNs: bigint;
  inferredNs: bigint;
  decodedNs: bigint;
}

/**
 * Figures of the inferred results that came within a block. The rate is taken from whole
 * batches, from the end of the first to the end of the last, so that a block needs no
 * whole number of them.
 */
export function serviceFigures(results: readonly ResultMessage[]): ServiceFigures {
  const batches = batchesOf(results);
  const [first, ...rest] = batches;
  const last = rest.at(-1);
  if (first === undefined || last === undefined) throw new Error(`${results.length} results in a block: infer is too slow, or gets no frames`);
  const frames = rest.reduce((sum, batch) => sum + batch.frames, 0);
  const mean = (of: (batch: Batch, index: number) => bigint): number =>
    rest.reduce((sum, batch, index) => sum + Number(of(batch, index)), 0) / rest.length / 1e6;
  return {
    framesPerSecond: (frames * 1e9) / Number(last.decodedNs - first.decodedNs),
    meanBatch: frames / rest.length,
    batchMs: {
      preprocess: mean((batch) => batch.preprocessedNs - batch.startedNs),
      engine: mean((batch) => batch.inferredNs - batch.preprocessedNs),
      decode: mean((batch) => batch.decodedNs - batch.inferredNs),
      gap: mean((batch, index) => batch.startedNs - (batches[index]?.decodedNs ?? batch.startedNs)),
    },
  };
}

function batchesOf(results: readonly ResultMessage[]): Batch[] {
  const batches = new Map<bigint, Batch>();
  for (const { times } of results) {
    if (times === undefined) continue;
    const { startedNs, preprocessedNs, inferredNs, decodedNs } = times;
    const batch = batches.get(startedNs);
    if (batch === undefined) batches.set(startedNs, { frames: 1, startedNs, preprocessedNs, inferredNs, decodedNs });
    else batch.frames += 1;
  }
  return [...batches.values()].toSorted((a, b) => Number(a.startedNs - b.startedNs));
}
