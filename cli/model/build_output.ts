/** Where a build stands. */
export type BuildPhase = 'starting' | 'reading the model' | 'trying kernels' | 'saving';

/** What trtexec has said so far. */
export interface BuildProgress {
  phase: BuildPhase;
  /** Version of TensorRT; null until it is said. */
  version: string | null;
  /** Name of the GPU. */
  gpu: string | null;
  computeCapability: string | null;
  /** The last thing that it said, without its prefix. */
  last: string;
}

/** `[06/12/2024-10:11:12] [I] text`, `[TRT]` in between. */
const LINE = /^\[[\d/]+-[\d:]+\] \[([A-Z])\] (?:\[TRT\] )?(.*)$/;
/** Errors of which the message shows the first ones. */
const MOST_ERRORS = 5;

const PHASES: readonly [pattern: RegExp, phase: BuildPhase][] = [
  [/^Start parsing network model/, 'reading the model'],
  [/^Finished parsing network model/, 'trying kernels'],
  [/^(Engine built in|Engine generation completed)/, 'saving'],
];

/** Reads what trtexec writes while it builds, as TensorRT 8.5 to 11 have it. */
export class BuildOutput {
  #progress: BuildProgress = { phase: 'starting', version: null, gpu: null, computeCapability: null, last: '' };
  readonly #errors: string[] = [];

  get progress(): BuildProgress {
    return this.#progress;
  }

  /** The first errors, or the last words when it named none. */
  get complaint(): string {
    if (this.#errors.length > 0) return this.#errors.join('; ');
    return this.#progress.last === '' ? 'it said nothing' : this.#progress.last;
  }

  /** One line, without its end. */
  add(line: string): void {
    const parts = LINE.exec(line.trimEnd());
    const [severity, text] = parts === null ? ['I', line.trim()] : [parts[1] ?? '', parts[2] ?? ''];
    if (text === '' || text.startsWith('&&&& RUNNING')) return;
    if (severity === 'E' && this.#errors.length < MOST_ERRORS) this.#errors.push(text);
    this.#progress = { ...this.#progress, ...factOf(text), last: text };
  }
}

function factOf(text: string): Partial<BuildProgress> {
  const [, version] = /^TensorRT version: (\d+\.\d+\.\d+)/.exec(text) ?? [];
  if (version !== undefined) return { version };
  const [, gpu] = /^Selected Device: (.+)$/.exec(text) ?? [];
  if (gpu !== undefined) return { gpu };
  const [, computeCapability] = /^Compute Capability: (\d+\.\d+)$/.exec(text) ?? [];
  if (computeCapability !== undefined) return { computeCapability };
  const phase = PHASES.find(([pattern]) => pattern.test(text))?.[1];
  return phase === undefined ? {} : { phase };
}
