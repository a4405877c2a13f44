import type { Output, Screen } from '../demo/screen.js';
import type { BuildPhase, BuildProgress } from './build_output.js';

const REDRAW_MS = 250;

/** One line about a build: phase, GPU, version, time, and what trtexec said last. */
export function buildLine(name: string, { phase, gpu, version, last }: BuildProgress, elapsedMs: number): string {
  const where = [gpu, version === null ? null : `TensorRT ${version}`].filter((part) => part !== null).join(', ');
  const seconds = Math.floor(elapsedMs / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  return [name, phase, ...(where === '' ? [] : [where]), clock, ...(last === '' ? [] : [last])].join('  ');
}

/** Shows how a plan is built: a line with a clock on a terminal, a line a phase elsewhere. */
export class BuildDisplay {
  readonly #name: string;
  readonly #screen: Screen;
  readonly #isTerminal: boolean;
  readonly #startedAtMs = performance.now();
  #progress: BuildProgress | null = null;
  #phase: BuildPhase | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, screen: Screen, out: Output) {
    this.#name = name;
    this.#screen = screen;
    this.#isTerminal = out.isTTY === true;
  }

  readonly update = (progress: BuildProgress): void => {
    this.#progress = progress;
    if (this.#isTerminal) {
      // A clock of its own: kernels are tried for minutes without a word.
      this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS);
      return;
    }
    if (progress.phase === this.#phase) return;
    this.#phase = progress.phase;
    this.#screen.print(`${this.#name}: ${progress.phase}`);
  };

  /** Takes the line away. */
  close(): void {
    clearInterval(this.#timer);
    this.#screen.clear();
  }

  #draw(): void {
    if (this.#progress === null) return;
    this.#screen.table([buildLine(this.#name, this.#progress, performance.now() - this.#startedAtMs)]);
  }
}
