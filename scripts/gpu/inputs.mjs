/** What the proof on a GPU is made of. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Targets of native/CMakeLists.txt. */
export const GPU_PROGRAMS = ['gpu_proof', 'cuda_memory_test', 'cuda_source_test', 'cuda_preprocess_test', 'cuda_preprocess_parts_test'];

/**
 * A video and how GStreamer alone decodes it by NVDEC.
 * @typedef {object} GpuVideo
 * @property {string} name
 * @property {string} file
 * @property {string} nvdec elements between the file and its frames
 */

/**
 * @param {string | undefined} folder
 * @returns {GpuVideo[]} the first is H.264, the second HEVC; HEVC of 10 bits if there is a main10.mp4
 */
export function gpuVideos(folder) {
  const data = process.env.FRAMEBUS_TEST_DATA;
  const videos = folder ?? (data === undefined ? undefined : path.join(data, 'video'));
  if (videos === undefined) throw new Error('test videos: name their folder with --videos, or set FRAMEBUS_TEST_DATA');
  const found = [
    {
      name: 'h264',
      file: path.join(videos, 'intel_one-by-one-person-detection.mp4'),
      nvdec: 'qtdemux ! h264parse ! nvh264dec',
    },
    {
      name: 'hevc',
      file: path.join(videos, 'nvidia_Retail02_short.mp4'),
      nvdec: 'qtdemux ! h265parse ! nvh265dec',
    },
  ];
  for (const { name, file } of found) {
    if (!existsSync(file)) throw new Error(`${name} video ${file}: it is not there; name its folder with --videos`);
  }
  const ten = path.join(videos, 'main10.mp4');
  if (existsSync(ten)) found.push({ name: 'hevc10', file: ten, nvdec: 'qtdemux ! h265parse ! nvh265dec' });
  return found;
}
