/** A rectangle in pixels of the frame: left, top, extent to the right and downwards. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * Intersection over union, 0 to 1; 0 when they only touch, or when one has no area.
 *
 * @param margin pixels by which each box is made larger on every side
 */
export function intersectionOverUnion(a: Box, b: Box, margin = 0): number {
  const grown = 2 * margin;
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) + grown;
  if (!(width > 0)) return 0;
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) + grown;
  if (!(height > 0)) return 0;
  const intersection = width * height;
  const areas = (a.width + grown) * (a.height + grown) + (b.width + grown) * (b.height + grown);
  return intersection / (areas - intersection);
}
