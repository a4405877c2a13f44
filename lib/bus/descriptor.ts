import type { FrameFormat as NativeFormat, SourceEvent } from '../../native/contract.js';
import {
  CaptureTimeSource,
  FrameDescriptor,
  FrameFormat,
  PixelFormat,
} from '#proto/framebus/frame/v1/frame.js';

/** What is known of a frame that was published in the bus. */
export interface PublishedFrame extends Omit<Extract<SourceEvent, { type: 'frame' }>, 'type' | 'epoch' | 'captureSource'> {
  /** producer: the program that published it said when it was captured. */
  captureSource: keyof typeof CAPTURE_SOURCES;
}
/** The pool that it lies in. */
export type PublishedEpoch = Pick<Extract<SourceEvent, { type: 'epoch' }>, 'epoch' | 'createdUnixNs' | 'format'>;

const PIXEL_FORMATS = {
  I420: PixelFormat.PIXEL_FORMAT_I420,
  NV12: PixelFormat.PIXEL_FORMAT_NV12,
} as const satisfies Record<NativeFormat['pixelFormat'], PixelFormat>;

const CAPTURE_SOURCES = {
  rtcp_sr: CaptureTimeSource.CAPTURE_TIME_SOURCE_RTCP_SR,
  arrival: CaptureTimeSource.CAPTURE_TIME_SOURCE_ARRIVAL,
  file: CaptureTimeSource.CAPTURE_TIME_SOURCE_FILE,
  producer: CaptureTimeSource.CAPTURE_TIME_SOURCE_PRODUCER,
} as const satisfies Record<Extract<SourceEvent, { type: 'frame' }>['captureSource'] | 'producer', CaptureTimeSource>;

/**
 * The descriptor of a frame that has just been published in the bus;
 * `missingBefore` frames right before it found no free slot.
 */
export function describeFrame(
  streamId: string,
  producer: string,
  epoch: PublishedEpoch,
  event: PublishedFrame,
  missingBefore: number,
): FrameDescriptor {
  return FrameDescriptor.fromPartial({
    streamId,
    producer,
    epoch: { uuid: epoch.epoch, createdUnixNs: epoch.createdUnixNs },
    slot: event.slot,
    generation: event.generation,
    seq: event.seq,
    ptsNs: event.ptsNs,
    captureTime: {
      unixNs: event.captureUnixNs,
      source: CAPTURE_SOURCES[event.captureSource],
      uncertaintyNs: event.captureUncertaintyNs,
    },
    decodedMonotonicNs: event.decodedMonotonicNs,
    format: describeFormat(epoch.format),
    missingBefore,
  });
}

function describeFormat(format: NativeFormat): FrameFormat {
  return FrameFormat.fromPartial({
    width: format.width,
    height: format.height,
    pixelFormat: PIXEL_FORMATS[format.pixelFormat],
    frameRateNumerator: format.frameRateNumerator,
    frameRateDenominator: format.frameRateDenominator,
  });
}
