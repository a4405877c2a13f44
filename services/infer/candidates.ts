/** Boxes that a decoder has found, before suppression: a growing set of typed arrays, reused from frame to frame. */
export class Candidates {
  /** x1, y1, x2, y2 in network pixels, four numbers a box. */
  boxes: Float32Array;
  /** 0 to 1, one number a box. */
  scores: Float32Array;
  /** Channel of the model, one number a box. */
  classes: Int32Array;
  /** x, y in network pixels, `points` pairs a box; see `setLandmarks`. */
  landmarks = new Float32Array(0);
  #points = 0;
  #count = 0;

  constructor(capacity = 1024) {
    this.boxes = new Float32Array(capacity * 4);
    this.scores = new Float32Array(capacity);
    this.classes = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** Landmarks of a box; 0 until one has some. */
  get points(): number {
    return this.#points;
  }

  clear(): void {
    this.#count = 0;
    this.#points = 0;
  }

  push(x1: number, y1: number, x2: number, y2: number, score: number, classIndex: number): void {
    if (this.#count === this.scores.length) this.#grow();
    const index = this.#count++;
    const { boxes } = this;
    boxes[index * 4] = x1;
    boxes[index * 4 + 1] = y1;
    boxes[index * 4 + 2] = x2;
    boxes[index * 4 + 3] = y2;
    this.scores[index] = score;
    this.classes[index] = classIndex;
  }

  /**
   * Gives the box that was pushed last its landmarks. All boxes of a frame have
   * the same number of them.
   *
   * @param xy x, y, x, y, … in network pixels
   */
  setLandmarks(xy: ArrayLike<number>): void {
    if (this.#count === 0) throw new RangeError('landmarks: there is no box yet');
    const points = xy.length / 2;
    if (this.#points === 0 && Number.isInteger(points)) this.#reserveLandmarks(points);
    if (points !== this.#points) throw new RangeError(`landmarks: ${xy.length} numbers, expected ${this.#points * 2}`);
    this.landmarks.set(xy, (this.#count - 1) * points * 2);
  }

  /** Drops the boxes that do not pass, in place. */
  retain(passes: (index: number) => boolean): void {
    const size = this.#points * 2;
    let kept = 0;
    for (let index = 0; index < this.#count; index++) {
      if (!passes(index)) continue;
      this.boxes.copyWithin(kept * 4, index * 4, index * 4 + 4);
      this.scores[kept] = this.scores[index] as number;
      this.classes[kept] = this.classes[index] as number;
      this.landmarks.copyWithin(kept * size, index * size, (index + 1) * size);
      kept += 1;
    }
    this.#count = kept;
  }

  /** Boxes without landmarks of their own have the place of none. */
  #reserveLandmarks(points: number): void {
    const length = this.scores.length * points * 2;
    this.#points = points;
    if (this.landmarks.length < length) this.landmarks = new Float32Array(length);
    this.landmarks.fill(Number.NaN);
  }

  #grow(): void {
    const capacity = this.scores.length * 2;
    const [boxes, scores, classes, landmarks] = [this.boxes, this.scores, this.classes, this.landmarks];
    this.boxes = new Float32Array(capacity * 4);
    this.boxes.set(boxes);
    this.scores = new Float32Array(capacity);
    this.scores.set(scores);
    this.classes = new Int32Array(capacity);
    this.classes.set(classes);
    if (this.#points === 0) return;
    this.landmarks = new Float32Array(capacity * this.#points * 2).fill(Number.NaN);
    this.landmarks.set(landmarks.subarray(0, this.#count * this.#points * 2));
  }
}
