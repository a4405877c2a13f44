/** What the addon offers for tiled pictures; the rules are those of contract.ts. */
import type { Output } from './contract.js';

export interface TilerOptions {
  /** Pictures a second. */
  fps: number;
  /** Cells in a row; 0: as many as make the pictures largest. */
  columns: number;
  /** A picture that is older, and by three frames of its stream, is shown as missing. */
  staleMs: number;
}

/** Many outputs in one picture; see docs/tiles.md. */
export interface Tiler {
  /**
   * Shows the drawn pictures of an output in the cell of that name, which is added at the end when
   * there is none. null: it has no output now; its last picture stays until it is old.
   */
  show(name: string, output: Output | null): void;
  /** Pictures left out so far, because tiling or encoding did not keep up. */
  skipped(): number;
  /** Pushes nothing more; the output stays open. Idempotent. */
  close(): Promise<void>;
}

export interface TilerAddon {
  /**
   * Pushes tiled pictures into an output, which nobody else feeds. What goes wrong with them is an
   * `error` event of that output. Throws BAD_OPTIONS.
   */
  createTiler(output: Output, options: TilerOptions): Tiler;
}
