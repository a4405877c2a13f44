import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PICTURES_PER_SECOND, pictureFiles, type ClipPictures } from './clip_pictures.js';

/** As `sink.encode`. */
export interface EncodeSettings {
  bitrateKbps: number;
  preset: string;
  keyframeIntervalMs: number;
  threads: number;
}

/** `gst-launch … ! x264enc ! fakesink` with sink's settings, on the same pictures again and again. */
export class BareEncoder {
  readonly #pictures: ClipPictures;
  readonly #encode: EncodeSettings;

  constructor(pictures: ClipPictures, encode: EncodeSettings) {
    this.#pictures = pictures;
    this.#encode = encode;
  }

  /** Over so many pictures; the start of the process is taken off. */
  async framesPerSecond(frames: number): Promise<number> {
    const start = await this.#seconds(1);
    const all = await this.#seconds(frames + 1);
    return frames / (all - start);
  }

  async #seconds(frames: number): Promise<number> {
    const { width, height, count } = this.#pictures;
    const { bitrateKbps, preset, keyframeIntervalMs, threads } = this.#encode;
    const keyframeDistance = Math.round((PICTURES_PER_SECOND * keyframeIntervalMs) / 1000);
    const startMs = performance.now();
    await promisify(execFile)('gst-launch-1.0', [
      ...['-q', 'multifilesrc', `location=${pictureFiles(this.#pictures)}`, 'start-index=0', `stop-index=${count - 1}`],
      ...['loop=true', `num-buffers=${frames}`, '!'],
      ...['rawvideoparse', `width=${width}`, `height=${height}`, 'format=i420', `framerate=${PICTURES_PER_SECOND}/1`, '!'],
      // Pictures are read while others are encoded, as sink copies them.
      ...['queue', 'max-size-buffers=4', 'max-size-bytes=0', 'max-size-time=0', '!'],
      ...['x264enc', 'tune=zerolatency', `speed-preset=${preset}`, 'bframes=0', `bitrate=${bitrateKbps}`],
      ...[`key-int-max=${keyframeDistance}`, `threads=${threads}`, '!', 'fakesink', 'sync=false'],
    ]);
    return (performance.now() - startMs) / 1000;
  }
}
