/** What `framebus process --json` prints at its end. */
export interface ProcessReport {
  input: string;
  out: string;
  /** null: none was asked for. */
  detections_file: string | null;
  width: number;
  height: number;
  frames: number;
  /** Objects of all frames together. */
  detections: number;
  /** Formats of the tracks of sound that were carried over. */
  sound: string[];
  /** From the first picture to the end of the last one. */
  media_seconds: number;
  /** Of all steps; `frames_seconds`: from the first picture to the last one that was encoded. */
  seconds: number;
  frames_seconds: number;
  /** Over `frames_seconds`. */
  fps: number;
  /** What the services had to say. */
  warnings: string[];
}

/** The same for people, in a line. */
export function reportLine(report: ProcessReport): string {
  const { out, frames, seconds, fps, media_seconds: media, frames_seconds: spent, sound, detections } = report;
  const speed = spent > 0 && media > 0 ? `, ${(media / spent).toFixed(1)}× real time` : '';
  const heard = sound.length === 0 ? 'no sound' : `sound ${sound.join(', ')}`;
  return `${out}: ${frames} frames in ${seconds.toFixed(1)} s (${fps.toFixed(1)} fps${speed}), ${detections} detections, ${heard}`;
}
