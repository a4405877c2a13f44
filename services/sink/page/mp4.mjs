/** Bytes of the box type that holds the decoder's configuration. */
const AVCC = [0x61, 0x76, 0x63, 0x43];

/**
 * MIME type of an MP4 stream with H.264, from its first bytes (ftyp and moov):
 * profile, constraints and level stand behind the version byte of `avcC`
 * (ISO/IEC 14496-15, 5.3.3.1). Null when the box is not there yet.
 * @param {Uint8Array} bytes
 * @returns {string | null}
 */
export function mimeType(bytes) {
  for (let i = 4; i + 8 <= bytes.length; i++) {
    if (AVCC.every((byte, k) => bytes[i + k] === byte)) {
      const hex = [...bytes.subarray(i + 5, i + 8)].map((b) => b.toString(16).padStart(2, '0'));
      return `video/mp4; codecs="avc1.${hex.join('')}"`;
    }
  }
  return null;
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
