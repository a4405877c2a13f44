/** How far a file is. */
export interface ProcessProgress {
  frames: number;
  /** Part of the file that is done, 0 to 1; null: its length is not known. */
  part: number | null;
  /** Pictures a second, over the last seconds. */
  fps: number;
  /** Since the first picture. */
  elapsedMs: number;
}

const BAR = 24;
/** Before that an estimate would jump about. */
const LEAST_MS = 2_000;

/** One line, for example "[######------------------]  25 %  740 frames  61.0 fps  0:36 left". */
export function progressLine({ frames, part, fps, elapsedMs }: ProcessProgress): string {
  const counts = `${frames} frames  ${fps.toFixed(1)} fps`;
  if (part === null) return `${counts}  ${clock(elapsedMs)}`;
  const known = Math.min(1, Math.max(0, part));
  const filled = Math.round(known * BAR);
  const bar = '#'.repeat(filled) + '-'.repeat(BAR - filled);
  const percent = String(Math.floor(known * 100)).padStart(3);
  const left = known > 0 && elapsedMs >= LEAST_MS ? `  ${clock((elapsedMs * (1 - known)) / known)} left` : '';
  return `[${bar}] ${percent} %  ${counts}${left}`;
}

/** "4:05", "1:02:09". */
function clock(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((value, index) => (index === 0 ? String(value) : String(value).padStart(2, '0'))).join(':');
}
