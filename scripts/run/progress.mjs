/** Shows one line per step on stderr: a spinner on a terminal, plain lines elsewhere. */

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const PLAIN_EVERY_MS = 10_000;

/** @param {number} ms */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The line of one step, from its start to its end. */
export class StepLine {
  #title;
  #out;
  #startedAt = performance.now();
  #note = '';
  #noteAt = performance.now();
  #timer;
  #frame = 0;

  /**
   * @param {string} title
   * @param {NodeJS.WriteStream} [out]
   */
  constructor(title, out = process.stderr) {
    this.#title = title;
    this.#out = out;
    if (out.isTTY) {
      this.#timer = setInterval(() => this.#draw(), 100);
      this.#draw();
    }
  }

  /**
   * What is going on now, in a few words.
   * @param {string} text
   */
  note(text) {
    this.#note = text;
    if (this.#out.isTTY) return;
    const now = performance.now();
    if (now - this.#noteAt < PLAIN_EVERY_MS) return;
    this.#noteAt = now;
    this.#out.write(`  ${this.#title}: ${text} (${this.#elapsed()})\n`);
  }

  /** @param {string} text what came of it */
  done(text) {
    this.#end(this.#out.isTTY ? '\x1b[32m✔\x1b[0m' : 'ok', text);
  }

  /** @param {string} text */
  failed(text) {
    this.#end(this.#out.isTTY ? '\x1b[31m✘\x1b[0m' : 'FAILED', text);
  }

  #elapsed() {
    return seconds(performance.now() - this.#startedAt);
  }

  #end(mark, text) {
    clearInterval(this.#timer);
    if (this.#out.isTTY) this.#out.write('\r\x1b[2K');
    this.#out.write(`${mark} ${this.#title}: ${text} (${this.#elapsed()})\n`);
  }

  #draw() {
    const spinner = FRAMES[this.#frame++ % FRAMES.length];
    const line = `${spinner} ${this.#title}  ${this.#elapsed()}  ${this.#note}`;
    const width = (this.#out.columns ?? 80) - 1;
    this.#out.write(`\r\x1b[2K${line.slice(0, width)}`);
  }
}
