import type { EncodeConfig } from '../../lib/config.js';
import { toFramebusError } from '../../lib/errors.js';
import type { Addon } from '../../native/contract.js';
import { absent, missing, ok, warning, type Check } from './check.js';

interface Element {
  name: string;
  /** What it is for, in a few words. */
  use: string;
  /** Debian package that brings it; empty for those that come with a vendor's system. */
  package: string;
}

const element = (name: string, use: string, from: string): Element => ({ name, use, package: from });

const BASE = 'gstreamer1.0-plugins-base';
const GOOD = 'gstreamer1.0-plugins-good';
const BAD = 'gstreamer1.0-plugins-bad';
const UGLY = 'gstreamer1.0-plugins-ugly';
const LIBAV = 'gstreamer1.0-libav';

/** Without these, nothing runs. */
const REQUIRED: readonly Element[] = [
  element('uridecodebin', 'opens sources', BASE),
  element('videoconvert', 'sources with other pixel formats', BASE),
  element('appsrc', 'pictures into GStreamer', BASE),
  element('appsink', 'pictures out of GStreamer', BASE),
  element('avdec_h264', 'H.264 decoder', LIBAV),
  element('h264parse', 'H.264 for the outputs', BAD),
  element('rtph264pay', 'RTSP output', GOOD),
  element('mp4mux', 'live page', GOOD),
];

/** Without these, some sources do not play, and some encoders cannot be chosen. */
const USEFUL: readonly Element[] = [
  element('rtspsrc', 'RTSP cameras', GOOD),
  element('souphttpsrc', 'http:// sources', GOOD),
  element('v4l2src', 'local cameras', GOOD),
  element('avdec_h265', 'H.265 decoder', LIBAV),
  element('vp8dec', 'VP8 decoder', GOOD),
  element('vp9dec', 'VP9 decoder', GOOD),
  element('jpegdec', 'Motion JPEG decoder', GOOD),
  element('av1dec', 'AV1 decoder', BAD),
  element('qtdemux', 'MP4 and MOV files', GOOD),
  element('matroskademux', 'MKV and WebM files', GOOD),
  element('avidemux', 'AVI files', GOOD),
  element('flvdemux', 'FLV files', GOOD),
  element('tsdemux', 'MPEG-TS', BAD),
  element('x264enc', 'H.264 encoder', UGLY),
  element('openh264enc', 'H.264 encoder', BAD),
  element('x265enc', 'H.265 encoder', BAD),
  element('h265parse', 'H.265 for the outputs', BAD),
  element('rtph265pay', 'RTSP output of H.265', GOOD),
];

/** Hardware: used where it is. */
const HARDWARE: readonly Element[] = [
  element('nvh264dec', 'NVIDIA H.264 decoder', BAD),
  element('nvh265dec', 'NVIDIA H.265 decoder', BAD),
  element('nvh264enc', 'NVIDIA H.264 encoder', BAD),
  element('nvh265enc', 'NVIDIA H.265 encoder', BAD),
  element('nvv4l2decoder', 'Jetson decoder', ''),
  element('nvv4l2h264enc', 'Jetson H.264 encoder', ''),
  element('nvv4l2h265enc', 'Jetson H.265 encoder', ''),
  element('vah264dec', 'VA-API H.264 decoder', BAD),
];

/** The addon, GStreamer, the elements that are used, and which encoder a configuration gets. */
export async function checkMedia(encode: EncodeConfig): Promise<Check[]> {
  const names = [...REQUIRED, ...USEFUL, ...HARDWARE].map(({ name }) => name);
  try {
    const native = await import('../../native/index.js');
    const { gstreamerVersion, elements } = native.probeMedia(names);
    return [
      ok('media', 'native addon', 'loads'),
      ok('media', 'GStreamer', gstreamerVersion),
      ...REQUIRED.map((wanted) => elementCheck(wanted, elements[wanted.name] === true, missing)),
      ...USEFUL.map((wanted) => elementCheck(wanted, elements[wanted.name] === true, warning)),
      ...HARDWARE.map((wanted) => elementCheck(wanted, elements[wanted.name] === true, absent)),
      encoderCheck(native, encode),
    ];
  } catch (error) {
    const { message, remedy, code } = toFramebusError(error);
    const rebuild = 'Build it anew with "npm run build:native".';
    return [missing('media', 'native addon', message, code === 'INTERNAL' ? rebuild : remedy)];
  }
}

function encoderCheck({ chooseEncoder }: Pick<Addon, 'chooseEncoder'>, encode: EncodeConfig): Check {
  const name = `encoder: ${encode.encoder}, ${encode.codec}`;
  try {
    const { element: chosen, reason } = chooseEncoder(encode);
    return ok('media', name, `${chosen} (${reason})`);
  } catch (error) {
    const { message, remedy } = toFramebusError(error);
    return missing('media', name, message, remedy);
  }
}

function elementCheck({ name, use, package: from }: Element, found: boolean, otherwise: typeof missing): Check {
  if (found) return ok('media', name, use);
  const remedy = from === '' || otherwise === absent ? '' : `apt-get install ${from}`;
  return otherwise('media', name, `${use}: not there`, remedy);
}
