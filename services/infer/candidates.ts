/** Boxes that a decoder has found, before suppression: a growing set of typed arrays, reused from frame to frame. */
export class Candidates {
  /** x1, y1, x2, y2 in network pixels, four numbers a box. */
  boxes: Float32Array;
  /** 0 to 1, one number a box. */
  scores: Float32Array;
  /** Channel of the model, one number a box. */
  classes: Int32Array;
  #count = 0;

  constructor(capacity = 1024) {
    this.boxes = new Float32Array(capacity * 4);
    this.scores = new Float32Array(capacity);
    this.classes = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#count = 0;
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

  #grow(): void {
    const capacity = this.scores.length * 2;
    const [boxes, scores, classes] = [this.boxes, this.scores, this.classes];
    this.boxes = new Float32Array(capacity * 4);
    this.boxes.set(boxes);
    this.scores = new Float32Array(capacity);
    this.scores.set(scores);
    this.classes = new Int32Array(capacity);
    this.classes.set(classes);
  }
}
