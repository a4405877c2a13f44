// Masks of classes, laid over a picture.
#pragma once

#include "canvas.h"
#include "overlay.h"

namespace framebus {

// Tints the pixels of all cells that the runs name. A pixel belongs to the cell
// that its centre lies in, so that cells of any size leave no gaps; what lies
// out of the picture, or after the last cell of the grid, is left out. Draws
// nothing for areas that are not finite or empty, and for grids without cells
// or of more than 16384 to a side.
void draw_mask(const Canvas& canvas, const OverlayMask& mask);

}  // namespace framebus
