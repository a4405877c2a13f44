/** The part of the contract that is about encoders; see contract.ts. */
export type VideoCodec = 'h264' | 'h265';

/** auto: what the machine has, hardware first; see docs/encoding.md. */
export type EncoderName = 'auto' | 'x264' | 'openh264' | 'x265' | 'nvenc' | 'jetson';

/** How pictures are encoded; never with B-frames. */
export interface EncodeOptions {
  codec: VideoCodec;
  encoder: EncoderName;
  rateControl: 'cbr' | 'vbr' | 'quality';
  /** cbr: kept all the time. vbr: kept on the average. */
  bitrateKbps: number;
  /** vbr and quality: never more for long; 0: no limit, for quality alone. */
  maxBitrateKbps: number;
  /** quality: quantizer, or what the encoder has in its place; 0 (best) to 51. */
  quality: number;
  /** ultrafast … veryslow, as x264 calls them. */
  preset: string;
  /** Longest distance between keyframes, in milliseconds. */
  keyframeIntervalMs: number;
  /** Encoder threads; 0 lets the encoder choose. */
  threads: number;
}

/** The encoder that a machine uses. */
export interface EncoderChoice {
  /** GStreamer's name. */
  element: string;
  /** Why this one, for people. */
  reason: string;
}
