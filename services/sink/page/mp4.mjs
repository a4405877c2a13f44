/** Box types that hold the decoder's configuration, and how much of it names the codec. */
const BOXES = [
  { type: [0x61, 0x76, 0x63, 0x43], bytes: 4, codec: avc1 },
  { type: [0x68, 0x76, 0x63, 0x43], bytes: 13, codec: hvc1 },
];

/**
 * MIME type of an MP4 stream with H.264 or H.265, from its first bytes (ftyp and
 * moov). Null when the box `avcC` or `hvcC` is not there yet.
 * @param {Uint8Array} bytes
 * @returns {string | null}
 */
export function mimeType(bytes) {
  for (let i = 4; i + 8 <= bytes.length; i++) {
    for (const box of BOXES) {
      if (i + 4 + box.bytes > bytes.length || !box.type.every((byte, k) => bytes[i + k] === byte)) continue;
      return `video/mp4; codecs="${box.codec(bytes.subarray(i + 4, i + 4 + box.bytes))}"`;
    }
  }
  return null;
}

/** Profile, constraints and level stand behind the version byte (ISO/IEC 14496-15, 5.3.3.1). */
function avc1(config) {
  const hex = [...config.subarray(1, 4)].map((b) => b.toString(16).padStart(2, '0'));
  return `avc1.${hex.join('')}`;
}

/** Profile, its compatibility in reverse order of bits, tier and level, constraints (ISO/IEC 14496-15, E.3). */
function hvc1(config) {
  const space = ['', 'A', 'B', 'C'][config[1] >> 6];
  let flags = 0;
  for (let bit = 0; bit < 32; bit++) {
    if (config[2 + (bit >> 3)] & (0x80 >> (bit & 7))) flags += 2 ** bit;
  }
  const constraints = [...config.subarray(6, 12)].map((b) => b.toString(16).toUpperCase());
  while (constraints.at(-1) === '0') constraints.pop();
  const tier = config[1] & 0x20 ? 'H' : 'L';
  const parts = [`hvc1.${space}${config[1] & 0x1f}`, flags.toString(16).toUpperCase(), `${tier}${config[12]}`];
  return [...parts, ...constraints].join('.');
}

/**
 * @param {Uint8Array[]} chunks
 * @returns {Uint8Array}
 */
export function concat(chunks) {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
