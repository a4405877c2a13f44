import { FramebusError, toFramebusError } from '../../lib/errors.js';
import type { EncodeOptions, FrameLease, Output, Overlay } from '../../native/contract.js';
import { createOutput } from '../../native/index.js';

const JPEG_QUALITY = 92;
/** Nobody watches it; the cheapest. */
const ANY_ENCODE: EncodeOptions = {
  codec: 'h264',
  encoder: 'auto',
  rateControl: 'cbr',
  bitrateKbps: 2000,
  maxBitrateKbps: 0,
  quality: 0,
  preset: 'ultrafast',
  keyframeIntervalMs: 1000,
  threads: 1,
};

/** A leased picture with an overlay as a stream shows it, as JPEG. @throws OUTPUT_FORMAT, ENCODER_FAILED, JPEG_FAILED */
export async function drawnPicture(lease: FrameLease, overlay: Overlay): Promise<Uint8Array> {
  const { format, id } = lease;
  let onDrawn: (failure: Error | null) => void = () => undefined;
  const drawn = new Promise<void>((resolve, reject) => {
    onDrawn = (failure) => (failure === null ? resolve() : reject(failure));
  });
  const output = createOutput(
    { streamId: 'picture', format, encode: ANY_ENCODE, queue: 1 },
    (event) => {
      if (event.type === 'encoded') onDrawn(null);
      else if (event.type === 'error') onDrawn(toFramebusError(Object.assign(new Error(event.message), { code: event.code })));
      else onDrawn(new FramebusError('ENCODER_FAILED', `the picture was not drawn: ${event.reason}`));
    },
  );
  try {
    output.push(id, 0n, 0n, overlay);
    await drawn;
    return await latestOf(output);
  } finally {
    await output.close();
  }
}

async function latestOf(output: Output): Promise<Uint8Array> {
  const snapshot = await output.snapshot(JPEG_QUALITY);
  if (snapshot === null) throw new FramebusError('STREAM_NO_PICTURE', 'the picture was encoded, but is not there');
  return snapshot.jpeg;
}
