const SPS = 7;
const PPS = 8;
const IDR_SLICE = 5;
const STAP_A = 24;
const FU_A = 28;
const RTP_HEADER = 12;

/** Reads RTP packets of H.264 (RFC 6184) until a decoder could show its first picture. */
export class H264Join {
  readonly #parameterSets = new Set<number>();
  #lastNumber: number | null = null;
  /** An IDR picture has begun, and nothing of it is missing so far. */
  #inPicture = false;

  /** @param sdp what DESCRIBE gave; it may have the parameter sets */
  constructor(sdp: string) {
    if (/sprop-parameter-sets=[^;,\s]+,[^;\s]+/.test(sdp)) for (const type of [SPS, PPS]) this.#parameterSets.add(type);
  }

  /** Whether this packet completes the first picture that can be decoded. */
  take(packet: Buffer): boolean {
    const number = packet.readUInt16BE(2);
    if (this.#lastNumber !== null && number !== ((this.#lastNumber + 1) & 0xffff)) this.#inPicture = false;
    this.#lastNumber = number;
    const contributors = (packet.readUInt8(0) & 0x0f) * 4;
    for (const type of nalTypes(packet.subarray(RTP_HEADER + contributors))) {
      if (type === SPS || type === PPS) this.#parameterSets.add(type);
      if (type === IDR_SLICE) this.#inPicture = true;
    }
    const isLast = (packet.readUInt8(1) & 0x80) !== 0;
    return isLast && this.#inPicture && this.#parameterSets.size === 2;
  }
}

/** Types of the units that begin in a payload. */
function nalTypes(payload: Buffer): number[] {
  const type = payload.readUInt8(0) & 0x1f;
  if (type === FU_A) {
    const header = payload.readUInt8(1);
    return (header & 0x80) === 0 ? [] : [header & 0x1f];
  }
  if (type !== STAP_A) return [type];
  const types: number[] = [];
  for (let at = 1; at + 2 < payload.length; at += 2 + payload.readUInt16BE(at)) types.push(payload.readUInt8(at + 2) & 0x1f);
  return types;
}
