import type { Decoder } from './decoder.js';
import { ClassificationDecoder } from './decoder_classification.js';
import { DetrDecoder } from './decoder_detr.js';
import { EfficientNmsDecoder } from './decoder_efficient_nms.js';
import { loadModuleDecoder } from './decoder_module.js';
import { RawDecoder } from './decoder_raw.js';
import { RtdetrDecoder } from './decoder_rtdetr.js';
import { RtdetrUltralyticsDecoder } from './decoder_rtdetr_ultralytics.js';
import { SegmentationDecoder } from './decoder_segmentation.js';
import { SsdDecoder } from './decoder_ssd.js';
import { SsdOpenvinoDecoder } from './decoder_ssd_openvino.js';
import { SsdTfDecoder } from './decoder_ssd_tf.js';
import { YoloE2eDecoder } from './decoder_yolo_e2e.js';
import { YoloNasDecoder } from './decoder_yolo_nas.js';
import { Yolov5Decoder } from './decoder_yolov5.js';
import { Yolov8Decoder } from './decoder_yolov8.js';
import { YoloxDecoder } from './decoder_yolox.js';
import { YunetDecoder } from './decoder_yunet.js';
import type { DecoderOptions } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** The decoder that a manifest declares; its kind is never guessed from shapes. @throws MODEL_DECODER */
export async function createDecoder(manifest: ModelManifest): Promise<Decoder> {
  const { decoder } = manifest;
  return decoder.kind === 'module' ? loadModuleDecoder(manifest, decoder) : createOwnDecoder(manifest, decoder);
}

/** As `createDecoder`, for the kinds that framebus brings. */
export function createOwnDecoder(manifest: ModelManifest, decoder: Exclude<DecoderOptions, { kind: 'module' }>): Decoder {
  switch (decoder.kind) {
    case 'yolov5':
      return new Yolov5Decoder(manifest, decoder);
    case 'yolov8':
      return new Yolov8Decoder(manifest, decoder);
    case 'yolo-e2e':
      return new YoloE2eDecoder(manifest, decoder);
    case 'yolox':
      return new YoloxDecoder(manifest, decoder);
    case 'yolo-nas':
      return new YoloNasDecoder(manifest, decoder);
    case 'rtdetr':
      return new RtdetrDecoder(manifest, decoder);
    case 'rtdetr-raw':
    case 'rfdetr':
      return new DetrDecoder(manifest, decoder);
    case 'rtdetr-ultralytics':
      return new RtdetrUltralyticsDecoder(manifest, decoder);
    case 'ssd':
    case 'ultraface':
      return new SsdDecoder(manifest, decoder);
    case 'ssd-tf':
      return new SsdTfDecoder(manifest, decoder);
    case 'ssd-openvino':
      return new SsdOpenvinoDecoder(manifest, decoder);
    case 'efficient-nms':
      return new EfficientNmsDecoder(manifest, decoder);
    case 'yunet':
      return new YunetDecoder(manifest, decoder);
    case 'classification':
      return new ClassificationDecoder(manifest, decoder);
    case 'segmentation':
      return new SegmentationDecoder(manifest, decoder);
    case 'raw':
      return new RawDecoder(manifest, decoder);
  }
}
