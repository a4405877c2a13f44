import { numbersOf } from './kserve_contents.js';
import { fromHalf } from './half_float.js';
import type { OutputTensorData } from './tensor_inference.js';

/** The best classes of an output, in texts. */
export interface Classification {
  dims: number[];
  /** "value:index" or "value:index:label", best first, one picture after the other. */
  texts: string[];
}

/**
 * Triton's classification extension: the `count` greatest numbers of every
 * picture, or of the whole output when it has no batch, in which case dims has
 * one length only.
 */
export function classify(
  output: OutputTensorData,
  count: number,
  labels: ReadonlyMap<number, string>,
  isBatched: boolean,
): Classification {
  const data = numbersOf(output.type, output.bytes);
  const numbers = Array.from(output.type === 'float16' && data instanceof Uint16Array ? fromHalf(data) : data, Number);
  const batch = isBatched ? (output.dims[0] ?? 1) : 1;
  const length = batch === 0 ? 0 : numbers.length / batch;
  const best = Math.min(count, length);
  const texts = Array.from({ length: batch }, (_, picture) =>
    topOf(numbers.slice(picture * length, (picture + 1) * length), best).map(([value, index]) => {
      const label = labels.get(index);
      return `${value.toFixed(6)}:${index}${label === undefined ? '' : `:${label}`}`;
    }),
  );
  return { dims: isBatched ? [batch, best] : [best], texts: texts.flat() };
}

/** Texts as raw bytes: each after its length, four bytes little endian. */
export function bytesOfTexts(texts: readonly string[]): Buffer {
  return Buffer.concat(
    texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The greatest numbers and where they lie; the first of equal ones comes first. */
function topOf(numbers: readonly number[], count: number): [number, number][] {
  return numbers
    .map((value, index): [number, number] => [value, index])
    .sort(([a], [b]) => b - a)
    .slice(0, count);
}
