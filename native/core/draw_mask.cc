#include "draw_mask.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace framebus {
namespace {

constexpr uint8_t kStrength = 115;  // 45 %: the picture below stays readable.
constexpr uint32_t kMaxSide = 16384;

// Where the cells of one axis begin, in samples of luma and of chroma; one more than cells.
struct Edges {
  std::vector<int32_t> luma;
  std::vector<int32_t> chroma;
};

// First sample whose centre is not before `edge`, in pixels. A sample of chroma has its
// centre between two pixels; one whose second pixel is not there, on the first.
int32_t sample_at(double edge, int32_t step, int32_t samples, int32_t pixels) {
  if (edge > pixels - 0.5) return samples;
  return static_cast<int32_t>(std::clamp(std::ceil(edge / step - 0.5), 0.0, samples + 0.0));
}

Edges edges_of(double start, double length, uint32_t cells, int32_t pixels) {
  Edges edges;
  edges.luma.reserve(cells + 1);
  edges.chroma.reserve(cells + 1);
  for (uint32_t i = 0; i <= cells; ++i) {
    const double edge = start + length * i / cells;
    edges.luma.push_back(sample_at(edge, 1, pixels, pixels));
    edges.chroma.push_back(sample_at(edge, 2, (pixels + 1) / 2, pixels));
  }
  return edges;
}

// Cells from `left` up to but without `right` of a row.
struct Span {
  uint32_t left;
  uint32_t right;
};

// Reads the runs of a grid, row by row.
class RunReader {
 public:
  explicit RunReader(const OverlayMask& mask) : runs_(mask.runs), columns_(mask.columns) {}

  // Spans of the next row, into `spans`; false when nothing comes any more.
  bool next_row(std::vector<Span>& spans) {
    spans.clear();
    const uint64_t row = row_++ * columns_;
    const uint64_t end = row + columns_;
    while (at_ < end) {
      if (left_ == 0) {
        if (next_ == runs_.size()) break;
        left_ = runs_[next_];
        inside_ = next_++ % 2 == 1;
        continue;
      }
      const uint64_t length = std::min(left_, end - at_);
      if (inside_) add(spans, static_cast<uint32_t>(at_ - row), static_cast<uint32_t>(length));
      at_ += length;
      left_ -= length;
    }
    return !spans.empty() || left_ > 0 || next_ < runs_.size();
  }

 private:
  // Runs with nothing between them are one span.
  static void add(std::vector<Span>& spans, uint32_t left, uint32_t length) {
    if (!spans.empty() && spans.back().right == left) {
      spans.back().right += length;
    } else {
      spans.push_back({left, left + length});
    }
  }

  const std::span<const uint32_t> runs_;  // Borrowed.
  const uint64_t columns_;
  size_t next_ = 0;
  uint64_t row_ = 0;
  uint64_t at_ = 0;    // Cell.
  uint64_t left_ = 0;  // Cells of the run that are still to come.
  bool inside_ = false;
};

bool drawable(const OverlayMask& mask) {
  const bool finite = std::isfinite(mask.x) && std::isfinite(mask.y) && std::isfinite(mask.width) &&
                      std::isfinite(mask.height);
  return finite && mask.width > 0 && mask.height > 0 && mask.columns > 0 && mask.rows > 0 &&
         mask.columns <= kMaxSide && mask.rows <= kMaxSide;
}

}  // namespace

void draw_mask(const Canvas& canvas, const OverlayMask& mask) {
  if (!drawable(mask)) return;
  const Yuv color = canvas.color(mask.color);
  const Edges x = edges_of(mask.x, mask.width, mask.columns, canvas.width());
  const Edges y = edges_of(mask.y, mask.height, mask.rows, canvas.height());
  RunReader reader(mask);
  std::vector<Span> spans;
  for (uint32_t row = 0; row < mask.rows && reader.next_row(spans); ++row) {
    for (int32_t line = y.luma[row]; line < y.luma[row + 1]; ++line) {
      for (const Span& span : spans) {
        canvas.tint_luma(line, x.luma[span.left], x.luma[span.right], color.y, kStrength);
      }
    }
    for (int32_t line = y.chroma[row]; line < y.chroma[row + 1]; ++line) {
      for (const Span& span : spans) {
        canvas.tint_chroma(line, x.chroma[span.left], x.chroma[span.right], color, kStrength);
      }
    }
  }
}

}  // namespace framebus
