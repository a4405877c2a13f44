#include "label_placement.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>

namespace framebus {
namespace {

constexpr int32_t kGap = 2;  // Between plates, so that two of one colour do not run together.

int64_t overlap(const PixelRect& a, const PixelRect& b) {
  const int32_t width = std::min(a.right, b.right) - std::max(a.left, b.left) + kGap;
  const int32_t height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top) + kGap;
  return width <= 0 || height <= 0 ? 0 : int64_t{width} * height;
}

int64_t overlap(const PixelRect& plate, std::span<const PixelRect> placed) {
  int64_t sum = 0;
  for (const PixelRect& other : placed) sum += overlap(plate, other);
  return sum;
}

// Boxes this many plates high have room for a label.
constexpr int32_t kTallBox = 4;

// How many plate heights a label may lie off its box.
constexpr int32_t kSteps = 3;

struct Corner {
  int32_t left;
  int32_t top;
};

// Places that touch the box, best first. A label inside hides what a small box
// shows, so there it comes last.
std::array<Corner, 8> corners(const LabelRequest& request) {
  const PixelRect& box = request.box;
  const int32_t left = box.left & ~1;
  const int32_t right = (box.right - request.width) & ~1;
  const int32_t above = (box.top & ~1) - request.height;
  const int32_t inside = box.top & ~1;
  const int32_t below = (box.bottom + 1) & ~1;
  const int32_t inside_bottom = below - request.height;
  if (box.height() >= kTallBox * request.height) {
    return {{{left, above},
             {left, inside},
             {left, below},
             {left, inside_bottom},
             {right, above},
             {right, inside},
             {right, below},
             {right, inside_bottom}}};
  }
  return {{{left, above},
           {left, below},
           {right, above},
           {right, below},
           {left, inside},
           {right, inside},
           {left, inside_bottom},
           {right, inside_bottom}}};
}

PixelRect place(const LabelRequest& request, std::span<const PixelRect> placed, int32_t width,
                int32_t height) {
  const int32_t last_left = std::max(0, (width - request.width) & ~1);
  const int32_t last_top = std::max(0, (height - request.height) & ~1);
  PixelRect best;
  int64_t least = std::numeric_limits<int64_t>::max();
  const auto consider = [&](Corner corner) {
    const int32_t left = std::clamp(corner.left, 0, last_left);
    const PixelRect plate{left, corner.top, left + request.width, corner.top + request.height};
    const int64_t covered = overlap(plate, placed);
    if (covered >= least) return;
    least = covered;
    best = plate;
  };
  for (const Corner& corner : corners(request)) {
    if (corner.top >= 0 && corner.top <= last_top) consider(corner);
    if (least == 0) return best;
  }
  // Crowds: a step or more off the box.
  for (int32_t step = 1; step <= kSteps; ++step) {
    const int32_t away = step * (request.height + kGap);
    for (const int32_t top : {request.box.top - request.height - away, request.box.bottom + away}) {
      if ((top & ~1) < 0 || (top & ~1) > last_top) continue;
      consider({request.box.left & ~1, top & ~1});
      if (least == 0) return best;
    }
  }
  // Every place is cut by the picture's edge.
  if (least == std::numeric_limits<int64_t>::max()) {
    consider({request.box.left & ~1, std::clamp(request.box.top & ~1, 0, last_top)});
  }
  return best;
}

}  // namespace

std::vector<PixelRect> place_labels(std::span<const LabelRequest> requests, int32_t picture_width,
                                    int32_t picture_height, std::span<const PixelRect> taken) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const PixelRect& first = requests[a].box;
    const PixelRect& second = requests[b].box;
    return std::tie(first.top, first.left) < std::tie(second.top, second.left);
  });
  std::vector<PixelRect> placed(taken.begin(), taken.end());
  std::vector<PixelRect> result(requests.size());
  placed.reserve(taken.size() + requests.size());
  for (const size_t index : order) {
    result[index] = place(requests[index], placed, picture_width, picture_height);
    placed.push_back(result[index]);
  }
  return result;
}

}  // namespace framebus
