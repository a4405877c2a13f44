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
 * Keeps a video element close to the newest picture. What counts is the least
 * lead over a while: fragments come in bursts, and the lead right after one
 * says nothing.
 */
export class LiveEdge {
  #leastS = Infinity;
  #sinceMs = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {number} nowMs
   */
  keep(video, nowMs) {
    const { buffered } = video;
    if (buffered.length === 0) return;
    const endS = buffered.end(buffered.length - 1);
    const startS = buffered.start(buffered.length - 1);
    const leadS = endS - video.currentTime;
    if (video.currentTime < startS || leadS > JUMP_S || leadS < -0.5) {
      video.currentTime = Math.max(startS, endS - LANDING_S);
      video.playbackRate = 1;
      this.#restart(nowMs);
      return;
    }
    this.#leastS = Math.min(this.#leastS, leadS);
    if (nowMs - this.#sinceMs < SPAN_MS) return;
    video.playbackRate = this.#leastS > SPARE_S ? FASTER : 1;
    this.#restart(nowMs);
  }

  /** @param {number} nowMs */
  #restart(nowMs) {
    this.#leastS = Infinity;
    this.#sinceMs = nowMs;
  }
}
