import type { WriteStream } from 'node:tty';

const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const PLAIN_TABLE_EVERY_MS = 5_000;

/** Where the demo writes to: a terminal, or anything that takes lines. */
export type Output = Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number };

/**
 * Lines that stay, and below them a block that is redrawn in place. Without a
 * terminal the block is written again every few seconds.
 */
export class Screen {
  readonly #out: Output;
  #block: string[] = [];
  #blockAtMs = Number.NEGATIVE_INFINITY;
  #frame = 0;
  #progress = '';

  constructor(out: Output) {
    this.#out = out;
  }

  /** A line that stays. */
  print(line: string): void {
    const block = this.#block;
    this.#erase();
    this.#out.write(`${line}\n`);
    this.#draw(block);
  }

  /** What is being waited for. Without a terminal, a line whenever it changes. */
  progress(text: string, elapsedMs: number): void {
    if (this.#out.isTTY === true) {
      const spinner = SPINNER[this.#frame++ % SPINNER.length] ?? '';
      this.#replace([`${spinner} ${text}  ${(elapsedMs / 1000).toFixed(0)} s`]);
    } else if (text !== this.#progress) {
      this.#out.write(`${text} …\n`);
    }
    this.#progress = text;
  }

  /** The table. */
  table(lines: readonly string[]): void {
    if (this.#out.isTTY === true) {
      this.#replace(lines);
      return;
    }
    const now = performance.now();
    if (now - this.#blockAtMs < PLAIN_TABLE_EVERY_MS) return;
    this.#blockAtMs = now;
    this.#out.write(`${lines.join('\n')}\n\n`);
  }

  /** Takes the progress line away; a table stays as it was last. */
  clear(): void {
    this.#erase();
  }

  /** Leaves the block where it is; what comes next goes below. */
  keep(): void {
    this.#block = [];
  }

  #replace(lines: readonly string[]): void {
    this.#erase();
    this.#draw(lines);
  }

  #erase(): void {
    // To the line's start (a Ctrl-C leaves "^C" there), up over the block, all below away.
    if (this.#block.length > 0) this.#out.write(`\r\x1b[${this.#block.length}A\x1b[0J`);
    this.#block = [];
  }

  #draw(lines: readonly string[]): void {
    if (lines.length === 0) return;
    // A line that wraps would be two, and the next redraw would miss one.
    const width = (this.#out.columns ?? 80) - 1;
    this.#block = lines.map((line) => line.slice(0, width));
    this.#out.write(`${this.#block.join('\n')}\n`);
  }
}
