/**
 * The part of the boundary that is about drawing. See contract.ts, which has the rules and hands
 * all of this on.
 */

/** A box that is drawn, with its label above it if there is room. */
export interface OverlayBox {
  /** Pixels of the frame. */
  x: number;
  y: number;
  width: number;
  height: number;
  /** UTF-8 text, for example "person 87 %"; empty for none. */
  label: string;
  /** 0xRRGGBB. */
  color: number;
  /** Lies in the object of another box: its outline is half as thick. */
  part: boolean;
}

/**
 * Cells that pixels are tinted by: a grid over a part of the frame. A pixel belongs to the
 * cell that its centre lies in. What lies out of the frame is not drawn.
 */
export interface OverlayMask {
  /** What the grid lies over, in pixels of the frame. */
  x: number;
  y: number;
  width: number;
  height: number;
  /** Cells of a row, and rows; nothing is drawn of more than 16384 to a side. */
  columns: number;
  rows: number;
  /**
   * Run lengths, row by row from the top left: so many cells that are not tinted (may be 0),
   * then so many that are, and so on. What goes beyond the grid is not drawn. Copied.
   */
  runs: Uint32Array;
  /** UTF-8 name of the class, written in the lower left corner of the frame; empty for none. */
  label: string;
  /** 0xRRGGBB; 45 % of it and 55 % of the frame are seen. */
  color: number;
}

/** Points of an object, drawn as dots. */
export interface OverlayPoints {
  /** x, y, x, y, …, in pixels of the frame; points that are not finite are left out. Copied. */
  xy: Float32Array;
  /** 0xRRGGBB. */
  color: number;
}

/** A part of the frame that is made unrecognisable, before anything is drawn. */
export interface OverlayConcealed {
  /** Pixels of the frame; the whole frame where one of them is not finite. */
  x: number;
  y: number;
  width: number;
  height: number;
  /** fill: black. blur: nothing but the means of four by four parts, or fewer in a small area. */
  with: 'blur' | 'fill';
}

/** A line from point to point, as thick as the outlines of boxes. */
export interface OverlayLine {
  /** x, y, x, y, …, in pixels of the frame; what touches a point that is not finite is left out. Copied. */
  xy: Float32Array;
  /** 0xRRGGBB. */
  color: number;
  /** Its first half comes out of nothing, point by point. */
  fades: boolean;
}

/** A text on a plate. */
export interface OverlayText {
  /**
   * Left upper corner of the plate, in pixels of the frame. It is moved into the frame, and below
   * texts before it; what has no room there is not drawn.
   */
  x: number;
  y: number;
  /** UTF-8, one line; cut where the frame ends. Empty for none. */
  text: string;
  /** Of the plate, 0xRRGGBB; the text is black or white. */
  color: number;
}

/**
 * What is drawn on a frame, in this order: concealed areas, masks, lines, points, names of masks,
 * outlines of boxes, texts, labels of boxes.
 */
export interface Overlay {
  concealed: OverlayConcealed[];
  masks: OverlayMask[];
  lines: OverlayLine[];
  points: OverlayPoints[];
  boxes: OverlayBox[];
  texts: OverlayText[];
  /** Of outlines and lines, in pixels, rounded up to an even number; 0: by the size of the frame. */
  lineWidth: number;
  /** In pixels; 0: by the size of the frame. */
  fontSize: number;
}
