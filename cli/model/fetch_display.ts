import type { FetchProgress } from '../../models/fetch.js';
import { bytesText } from '../bytes.js';
import type { Output, Screen } from '../demo/screen.js';

const BAR_CELLS = 24;
const REDRAW_MS = 100;
/** The rate is that of so much time. */
const RATE_WINDOW_MS = 3_000;
/** Without a terminal, a line about a long download after so much time. */
const PLAIN_EVERY_MS = 5_000;

const DOING: Readonly<Record<FetchProgress['phase'], string>> = {
  download: 'downloading',
  convert: 'converting',
  verify: 'checking',
};

/** Where a fetch stands. */
export interface FetchView {
  name: string;
  progress: FetchProgress;
  /** Since this phase began. */
  elapsedMs: number;
  /** null while nothing is known of it. */
  bytesPerSecond: number | null;
}

/** A line with a bar where the size is known: bytes, rate, time left. */
export function progressLine({ name, progress, elapsedMs, bytesPerSecond }: FetchView): string {
  const { phase, what, receivedBytes, totalBytes } = progress;
  const rate = bytesPerSecond === null ? '' : `  ${bytesText(bytesPerSecond)}/s`;
  if (phase === 'download' && totalBytes !== null && totalBytes > 0) {
    const share = Math.min(1, receivedBytes / totalBytes);
    const full = Math.round(share * BAR_CELLS);
    const bar = '━'.repeat(full) + '╌'.repeat(BAR_CELLS - full);
    const left = bytesPerSecond === null || bytesPerSecond === 0 ? '' : `  ${clock((totalBytes - receivedBytes) / bytesPerSecond)} left`;
    const percent = `${Math.floor(share * 100)} %`.padStart(5);
    return `${name}  ${bar} ${percent}  ${bytesText(receivedBytes)} of ${bytesText(totalBytes)}${rate}${left}`;
  }
  const received = receivedBytes === 0 ? '' : `  ${bytesText(receivedBytes)}${rate}`;
  return `${name}  ${DOING[phase]} ${what}${received}  ${clock(elapsedMs / 1000)}`;
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** Shows how one model is fetched: a bar on a terminal, a line a phase elsewhere. */
export class FetchDisplay {
  readonly #name: string;
  readonly #screen: Screen;
  readonly #isTerminal: boolean;
  readonly #samples: { atMs: number; bytes: number }[] = [];
  #progress: FetchProgress | null = null;
  #phaseAtMs = 0;
  #lineAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, screen: Screen, out: Output) {
    this.#name = name;
    this.#screen = screen;
    this.#isTerminal = out.isTTY === true;
  }

  /** Whether anything had to be fetched. */
  get active(): boolean {
    return this.#progress !== null;
  }

  readonly update = (progress: FetchProgress): void => {
    const now = performance.now();
    const isNew = this.#progress?.phase !== progress.phase;
    this.#progress = progress;
    this.#sample(now, progress.receivedBytes);
    if (isNew) this.#phaseAtMs = now;
    if (this.#isTerminal) {
      // A clock of its own: a phase of which nothing is heard must not look dead.
      this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS);
      if (isNew) this.#draw();
    } else if (isNew || now - this.#lineAtMs > PLAIN_EVERY_MS) {
      this.#lineAtMs = now;
      const size = progress.totalBytes === null ? '' : ` (${bytesText(progress.receivedBytes)} of ${bytesText(progress.totalBytes)})`;
      this.#screen.print(`${this.#name}: ${DOING[progress.phase]} ${progress.what}${size}`);
    }
  };

  /** Takes the bar away. */
  close(): void {
    clearInterval(this.#timer);
    this.#screen.clear();
  }

  #draw(): void {
    if (this.#progress === null) return;
    const elapsedMs = performance.now() - this.#phaseAtMs;
    this.#screen.table([
      progressLine({ name: this.#name, progress: this.#progress, elapsedMs, bytesPerSecond: this.#rate() }),
    ]);
  }

  #sample(atMs: number, bytes: number): void {
    this.#samples.push({ atMs, bytes });
    while ((this.#samples[0]?.atMs ?? atMs) < atMs - RATE_WINDOW_MS) this.#samples.shift();
  }

  #rate(): number | null {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < REDRAW_MS) return null;
    return ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * 1000;
  }
}
