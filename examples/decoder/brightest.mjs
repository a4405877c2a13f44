/**
 * Bright cells of a grid as boxes: a decoder of one's own.
 *
 * @param {import('../../services/infer/decoder.js').DecoderContext} context
 * @returns {import('../../services/infer/decoder.js').Decoder}
 */
export function createDecoder({ manifest, options }) {
  const { width, height } = manifest.input;
  const output = String(options.output);
  return {
    check(outputs, batch) {
      const dims = outputs[output]?.dims ?? [];
      if (dims.length !== 4 || dims[0] !== batch || dims[1] !== 1) {
        throw new Error(`output "${output}" is [${dims.join(', ')}], expected [${batch}, 1, rows, columns]`);
      }
    },

    decode(outputs, frame, thresholds, into) {
      const { data, dims } = outputs[output];
      const [, , rows, columns] = dims;
      for (let cell = 0; cell < rows * columns; cell++) {
        const score = data[frame * rows * columns + cell];
        if (!(score > thresholds[0])) continue;
        const x = ((cell % columns) * width) / columns;
        const y = (Math.floor(cell / columns) * height) / rows;
        into.boxes.push(x, y, x + width / columns, y + height / rows, score, 0);
      }
    },
  };
}
