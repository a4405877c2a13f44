import type { Box } from './iou.js';

/*
 * Noise, as standard deviations in heights of the box, so that the size of the picture
 * does not matter. Those of a measurement and of the first box are ByteTrack's.
 */
/** Of a measured position or height, in heights. */
const MEASUREMENT = 1 / 20;
/** Of a velocity after one second in which nothing was seen, in heights per second: brisk for a walker. */
const MANOEUVRE = 0.5;
/** Of the first position, in heights, and of a velocity of which nothing is known, in heights per second. */
const FIRST = { position: 1 / 10, velocity: 30 / 16 } as const;
/** Of the aspect ratio, in its own unit: it has no velocity and wanders by the square root of the seconds. */
const ASPECT = { measurement: 0.1, first: 0.01, wander: 0.055 } as const;

/** Axes: centre x and y, aspect ratio (width / height), height. */
const AXES = 4;
const ASPECT_AXIS = 2;
const HEIGHT_AXIS = 3;
/** Numbers of an axis: value, its rate per second, and the variance of both with their covariance. */
const STRIDE = 5;
const [VALUE, RATE, VARIANCE, COVARIANCE, RATE_VARIANCE] = [0, 1, 2, 3, 4] as const;

/**
 * Kalman filter of a box that moves and grows at nearly constant rates. Neither
 * motion nor noise couples the axes, so it is four filters of two states each.
 *
 * It holds what is known at the last box that was seen. The noise is that of a
 * velocity that wanders, integrated over time: one prediction over a gap equals
 * many small ones, whatever the rate of the frames.
 */
export class BoxFilter {
  readonly #state = new Float64Array(AXES * STRIDE);
  readonly #measured = new Float64Array(AXES);

  constructor(box: Box) {
    this.#measure(box);
    for (let axis = 0; axis < AXES; axis++) {
      const at = axis * STRIDE;
      const isAspect = axis === ASPECT_AXIS;
      this.#state[at + VALUE] = this.#measured[axis] as number;
      this.#state[at + VARIANCE] = (isAspect ? ASPECT.first : FIRST.position * box.height) ** 2;
      this.#state[at + RATE_VARIANCE] = isAspect ? 0 : (FIRST.velocity * box.height) ** 2;
    }
  }

  /** Where the box is some seconds after it was last seen. */
  predict(seconds: number): Box {
    const height = this.#valueAt(HEIGHT_AXIS, seconds);
    const width = this.#valueAt(ASPECT_AXIS, seconds) * height;
    return { x: this.#valueAt(0, seconds) - width / 2, y: this.#valueAt(1, seconds) - height / 2, width, height };
  }

  /** Standard deviation of the predicted centre along each axis, in pixels. */
  deviation(seconds: number): number {
    const state = this.#state;
    const manoeuvre = (MANOEUVRE * this.#valueAt(HEIGHT_AXIS, seconds)) ** 2;
    return Math.sqrt(
      (state[VARIANCE] as number) +
        seconds * (2 * (state[COVARIANCE] as number) + seconds * (state[RATE_VARIANCE] as number)) +
        (manoeuvre * seconds ** 3) / 3,
    );
  }

  /** Takes in a box that is seen some seconds after the last one. */
  correct(box: Box, seconds: number): void {
    const height = this.#valueAt(HEIGHT_AXIS, seconds);
    this.#measure(box);
    for (let axis = 0; axis < AXES; axis++) {
      this.#advance(axis, seconds, MANOEUVRE * height);
      this.#update(axis, axis === ASPECT_AXIS ? ASPECT.measurement : MEASUREMENT * height);
    }
  }

  /** The box keeps its height from here on: what is hidden is not seen to grow. */
  holdHeight(): void {
    this.#state[HEIGHT_AXIS * STRIDE + RATE] = 0;
  }

  #measure({ x, y, width, height }: Box): void {
    this.#measured[0] = x + width / 2;
    this.#measured[1] = y + height / 2;
    this.#measured[ASPECT_AXIS] = width / height;
    this.#measured[HEIGHT_AXIS] = height;
  }

  /** Sizes stay above 0: a box that shrinks does not turn inside out. */
  #valueAt(axis: number, seconds: number): number {
    const value = this.#state[axis * STRIDE + VALUE] as number;
    const later = value + (this.#state[axis * STRIDE + RATE] as number) * seconds;
    return later > 0 || axis < ASPECT_AXIS ? later : value;
  }

  #advance(axis: number, seconds: number, manoeuvre: number): void {
    const [state, at] = [this.#state, axis * STRIDE];
    const [covariance, rateVariance] = [state[at + COVARIANCE] as number, state[at + RATE_VARIANCE] as number];
    const isAspect = axis === ASPECT_AXIS;
    const noise = isAspect ? 0 : manoeuvre * manoeuvre * seconds;
    const wander = isAspect ? ASPECT.wander ** 2 * seconds : (noise * seconds * seconds) / 3;
    state[at + VALUE] = this.#valueAt(axis, seconds);
    state[at + VARIANCE] = (state[at + VARIANCE] as number) + seconds * (2 * covariance + seconds * rateVariance) + wander;
    state[at + COVARIANCE] = covariance + seconds * rateVariance + (noise * seconds) / 2;
    state[at + RATE_VARIANCE] = rateVariance + noise;
  }

  #update(axis: number, deviation: number): void {
    const [state, at] = [this.#state, axis * STRIDE];
    const [variance, covariance] = [state[at + VARIANCE] as number, state[at + COVARIANCE] as number];
    const total = variance + deviation * deviation;
    const error = (this.#measured[axis] as number) - (state[at + VALUE] as number);
    state[at + VALUE] = (state[at + VALUE] as number) + (variance / total) * error;
    state[at + RATE] = (state[at + RATE] as number) + (covariance / total) * error;
    state[at + VARIANCE] = variance - (variance * variance) / total;
    state[at + COVARIANCE] = covariance - (variance * covariance) / total;
    state[at + RATE_VARIANCE] = (state[at + RATE_VARIANCE] as number) - (covariance * covariance) / total;
  }
}
