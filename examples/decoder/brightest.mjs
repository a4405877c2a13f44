/**
 * Bright cells of a grid as boxes: a decoder of one's own.
 *
 * @param {import('framebus/decoder').DecoderContext} context
 * @returns {import('framebus/decoder').Decoder}
 */
export function createDecoder({ manifest, options }) {
  const { width, height } = manifest.input;
  const output = String(options['output']);
  return {
    check(outputs, batch) {
      const { type, dims } = outputs[output] ?? { type: 'nothing', dims: [] };
      if (type !== 'float32' || dims.length !== 4 || dims[0] !== batch || dims[1] !== 1) {
        throw new Error(`output "${output}" is ${type} [${dims.join(', ')}], expected float32 [${batch}, 1, rows, columns]`);
      }
    },

    decode(outputs, frame, thresholds, into) {
      const { data, dims } = outputs[output] ?? { data: [], dims: [] };
      const [, , rows = 0, columns = 0] = dims;
      for (let cell = 0; cell < rows * columns; cell++) {
        const score = Number(data[frame * rows * columns + cell]);
        if (!(score > Number(thresholds[0]))) continue;
        const x = ((cell % columns) * width) / columns;
        const y = (Math.floor(cell / columns) * height) / rows;
        into.boxes.push(x, y, x + width / columns, y + height / rows, score, 0);
      }
    },
  };
}
