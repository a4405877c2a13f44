/** Further behind than this, in seconds, the player jumps. */
const JUMP_S = 1.0;
/** Where it jumps to, in seconds behind the newest picture. */
const LANDING_S = 0.12;
/** With more than this in hand all the time, it plays a little faster. */
const SPARE_S = 0.3;
const FASTER = 1.08;
/** Time over which the least lead is looked at, in milliseconds. */
const SPAN_MS = 1500;
/**
 * The same in pictures, for streams of few a second: a browser wants some in hand before it plays,
 * and one that jumps before it has them never begins.
 */
const JUMP_PICTURES = 6;
const LANDING_PICTURES = 3;
const SPARE_PICTURES = 2;
/** Weight of the latest step of the buffer's end in their average. */
const LATEST = 0.2;
const MOST_STEP_S = 2;

/**
 * Keeps a video element close to the newest picture. What counts is the least
 * lead over a while: fragments come in bursts, and the lead right after one
 * says nothing.
 */
export class LiveEdge {
  #leastS = Infinity;
  #sinceMs = 0;
  #endS = NaN;
  /** By how much the end moves on at once: at low rates, the time of a picture. */
  #stepS = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {number} nowMs
   */
  keep(video, nowMs) {
    const { buffered } = video;
    if (buffered.length === 0) return;
    const endS = buffered.end(buffered.length - 1);
    const startS = buffered.start(buffered.length - 1);
    this.#measure(endS);
    const leadS = endS - video.currentTime;
    if (video.currentTime < startS || leadS > Math.max(JUMP_S, JUMP_PICTURES * this.#stepS) || leadS < -0.5) {
      video.currentTime = Math.max(startS, endS - Math.max(LANDING_S, LANDING_PICTURES * this.#stepS));
      video.playbackRate = 1;
      this.#restart(nowMs);
      return;
    }
    this.#leastS = Math.min(this.#leastS, leadS);
    if (nowMs - this.#sinceMs < SPAN_MS) return;
    video.playbackRate = this.#leastS > Math.max(SPARE_S, SPARE_PICTURES * this.#stepS) ? FASTER : 1;
    this.#restart(nowMs);
  }

  /** @param {number} endS */
  #measure(endS) {
    const step = Math.min(endS - this.#endS, MOST_STEP_S);
    if (step > 0) this.#stepS = this.#stepS === 0 ? step : this.#stepS + LATEST * (step - this.#stepS);
    this.#endS = endS;
  }

  /** @param {number} nowMs */
  #restart(nowMs) {
    this.#leastS = Infinity;
    this.#sinceMs = nowMs;
  }
}
