// Masks over planes, against rules written down per pixel.
#include "core/draw_mask.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "core/draw.h"
#include "picture_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

// Grey (128) with 115 of 256 of red of BT.601, limited range: 81, 90, 240.
constexpr std::array<int, 3> kTinted{107, 111, 178};

void draw(Picture& picture, const OverlayMask& mask) { draw_mask(Canvas(picture.frame), mask); }

size_t tinted(const Picture& picture) {
  size_t count = 0;
  for (uint32_t y = 0; y < picture.frame.format.height; ++y) {
    for (uint32_t x = 0; x < picture.frame.format.width; ++x) {
      count += picture.at(x, y)[0] != kGrey ? 1 : 0;
    }
  }
  return count;
}

TEST("cells are tinted exactly, luma and chroma, in both formats") {
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    // Three cells of 4 x 4 in a row, two rows, from (2, 4). Set: 1, 2, 3 and 5.
    Picture picture(20, 16, format);
    draw(picture, {.x = 2,
                   .y = 4,
                   .width = 12,
                   .height = 8,
                   .columns = 3,
                   .rows = 2,
                   .runs = {1, 3, 1, 1},
                   .color = 0xFF0000});
    const auto set = [](uint32_t x, uint32_t y) {
      if (x < 2 || x >= 14 || y < 4 || y >= 12) return false;
      const uint32_t cell = (y - 4) / 4 * 3 + (x - 2) / 4;
      return cell == 1 || cell == 2 || cell == 3 || cell == 5;
    };
    for (uint32_t y = 0; y < 16; ++y) {
      for (uint32_t x = 0; x < 20; ++x) {
        CHECK(picture.at(x, y) == (set(x, y) ? kTinted : kUntouched));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

TEST("a tint lets light and dark of the frame through") {
  Picture picture(4, 4, PixelFormat::kI420);
  picture.planes[0][0] = 0;
  picture.planes[0][1] = 255;
  draw(picture,
       {.width = 4, .height = 4, .columns = 1, .rows = 1, .runs = {0, 1}, .color = 0xFF0000});
  CHECK(picture.at(0, 0)[0] == 36);   // 0.45 * 81
  CHECK(picture.at(1, 0)[0] == 177);  // 0.55 * 255 + 0.45 * 81
}

// The cell that a coordinate lies in; outside of the grid none.
bool in_cell(const OverlayMask& mask, const std::vector<bool>& cells, double x, double y) {
  const double column = std::floor((x - mask.x) * mask.columns / mask.width);
  const double row = std::floor((y - mask.y) * mask.rows / mask.height);
  if (column < 0 || row < 0 || column >= mask.columns || row >= mask.rows) return false;
  return cells[static_cast<size_t>(row) * mask.columns + static_cast<size_t>(column)];
}

TEST("any grid over any part of any picture: each pixel by the cell of its centre, once") {
  std::mt19937 random(3);
  const auto number = [&](int low, int high) {  // No centre lies on an edge.
    return low + static_cast<double>(random() % 1000) / 1000 * (high - low) + 1e-4;
  };
  for (int round = 0; round < 600; ++round) {
    const uint32_t width = 1 + static_cast<uint32_t>(random() % 70);
    const uint32_t height = 1 + static_cast<uint32_t>(random() % 70);
    Picture picture(width, height, random() % 2 != 0 ? PixelFormat::kNv12 : PixelFormat::kI420);
    OverlayMask mask{.x = number(-30, 60),
                     .y = number(-30, 60),
                     .width = number(1, 120),
                     .height = number(1, 120),
                     .columns = 1 + static_cast<uint32_t>(random() % 90),
                     .rows = 1 + static_cast<uint32_t>(random() % 90),
                     .color = 0xFF0000};
    std::vector<bool> cells(size_t{mask.columns} * mask.rows, false);
    for (size_t at = 0; at < cells.size() && mask.runs.size() < 60;) {
      const size_t length = std::min<size_t>(random() % 40, cells.size() - at);
      if (mask.runs.size() % 2 == 1)
        std::fill_n(cells.begin() + static_cast<long>(at), length, true);
      mask.runs.push_back(static_cast<uint32_t>(length));
      at += length;
    }
    draw(picture, mask);
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        const auto pixel = picture.at(x, y);
        CHECK(pixel[0] == (in_cell(mask, cells, x + 0.5, y + 0.5) ? kTinted[0] : kGrey));
        const double chroma_x = std::min(x / 2 * 2 + 1.0, width - 0.5);
        const double chroma_y = std::min(y / 2 * 2 + 1.0, height - 0.5);
        const bool set = in_cell(mask, cells, chroma_x, chroma_y);
        CHECK(pixel[1] == (set ? kTinted[1] : kGrey));
        CHECK(pixel[2] == (set ? kTinted[2] : kGrey));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

TEST("masks side by side cover every pixel once, at sizes that do not divide") {
  Picture picture(641, 359, PixelFormat::kNv12);
  std::vector<uint32_t> even;
  std::vector<uint32_t> odd{0};
  for (uint32_t i = 0; i < 31 * 17; ++i) {
    even.push_back(1);
    odd.push_back(1);
  }
  OverlayMask mask{
      .width = 641, .height = 359, .columns = 31, .rows = 17, .runs = even, .color = 0xFF0000};
  draw(picture, mask);
  const size_t first = tinted(picture);
  mask.runs = odd;
  draw(picture, mask);
  for (uint32_t y = 0; y < 359; ++y) {
    for (uint32_t x = 0; x < 641; ++x) CHECK(picture.at(x, y) == kTinted);
  }
  CHECK(first > 641 * 359 / 3 && first < 641 * 359 * 2 / 3);
}

TEST("runs that are too long, zero, few or none, and grids and areas that cannot be") {
  const auto drawn = [](OverlayMask mask) {
    Picture picture(16, 16, PixelFormat::kI420);
    mask.color = 0xFF0000;
    draw(picture, mask);
    CHECK(picture.padding_untouched());
    return tinted(picture);
  };
  const auto grid = [](std::vector<uint32_t> runs) {
    return OverlayMask{.width = 16, .height = 16, .columns = 4, .rows = 4, .runs = std::move(runs)};
  };
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  CHECK(drawn(grid({})) == 0);
  CHECK(drawn(grid({0})) == 0);
  CHECK(drawn(grid({3})) == 0);
  CHECK(drawn(grid({0, 0, 0, 0})) == 0);
  CHECK(drawn(grid({0, 2})) == 32);
  CHECK(drawn(grid({0, 1, 0, 1, 0, 0, 0, 1})) == 48);
  CHECK(drawn(grid({12, 4})) == 64);
  CHECK(drawn(grid({12, 5})) == 64);
  CHECK(drawn(grid({0, kMost})) == 256);
  CHECK(drawn(grid({0, kMost, kMost, kMost, 0, kMost})) == 256);
  CHECK(drawn(grid({kMost, kMost})) == 0);
  CHECK(drawn(grid({16, 3, 1, 1})) == 0);
  OverlayMask mask = grid({0, kMost});
  for (double* number : {&mask.x, &mask.y, &mask.width, &mask.height}) {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), 1e300, -1e300}) {
      const double before = *number;
      *number = bad;
      CHECK(drawn(mask) ==
            (bad == 1e300 && (number == &mask.width || number == &mask.height) ? 256 : 0));
      *number = before;
    }
  }
  for (uint32_t* side : {&mask.columns, &mask.rows}) {
    for (const uint32_t bad : {0U, 16385U, kMost}) {
      *side = bad;
      CHECK(drawn(mask) == 0);
    }
    *side = 16384;
    CHECK(drawn(mask) == 256);
    *side = 4;
  }
}

TEST("boxes and labels lie on top of masks, whatever their order in the class's colours") {
  LabelCache labels;
  Picture picture(320, 240, PixelFormat::kI420);
  const OverlayMask mask{
      .width = 320, .height = 240, .columns = 1, .rows = 1, .runs = {0, 1}, .color = 0xFF0000};
  draw_overlay(picture.frame,
               {.masks = {mask},
                .points = {{.xy = {60, 60}, .color = 0xFFFFFF}},
                .boxes = {{100, 100, 80, 90, "", 0xFFFFFF}}},
               labels);
  CHECK((picture.at(100, 100) == std::array<int, 3>{235, 128, 128}));
  CHECK((picture.at(60, 60) == std::array<int, 3>{235, 128, 128}));
  CHECK(picture.at(10, 10) == kTinted);
}

TEST("names of masks are listed in the lower left corner, in the colours of their classes") {
  LabelCache labels;
  const OverlayStyle style = overlay_style(320, 241);
  const auto named = [](const char* label, uint32_t color) {
    return OverlayMask{.width = 320,
                       .height = 20,
                       .columns = 1,
                       .rows = 1,
                       .runs = {0, 1},
                       .label = label,
                       .color = color};
  };
  Picture picture(320, 241, PixelFormat::kNv12);
  draw_overlay(picture.frame,
               {.masks = {named("road", 0xFF0000), named("", 0x00FF00), named("sky", 0x0000FF)}},
               labels);
  const auto road = labels.mask("road", style.font_px, 320);
  const auto sky = labels.mask("sky", style.font_px, 320);
  const Yuv red = to_yuv(0xFF0000, picture.frame.format);
  const Yuv blue = to_yuv(0x0000FF, picture.frame.format);
  const uint32_t top = 240 - sky->height - road->height;
  CHECK(picture.at(0, 239)[0] == blue.y && picture.at(0, 240 - sky->height)[0] == blue.y);
  CHECK(picture.at(0, 239 - sky->height)[0] == red.y && picture.at(0, top)[0] == red.y);
  CHECK(picture.at(0, top - 1) == kUntouched && picture.at(road->width, top) == kUntouched);
  CHECK(picture.at(0, 240) == kUntouched || picture.at(0, 240)[0] == kGrey);

  // Those that have room.
  Picture low(320, road->height + 3, PixelFormat::kI420);
  draw_overlay(low.frame, {.masks = {named("sky", 0x0000FF), named("road", 0xFF0000)}}, labels);
  CHECK(low.at(0, road->height & ~1U)[0] == red.y);
  CHECK(low.padding_untouched());
}

// CPU time of this thread, in microseconds.
double thread_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// For people; nothing is asserted of times.
TEST("how long masks of 1080p take") {
  Picture picture(1920, 1080, PixelFormat::kNv12);
  const auto measure = [&](const char* name, const OverlayMask& mask) {
    double least_us = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 20; ++i) {
      const double started_us = thread_cpu_us();
      draw(picture, mask);
      least_us = std::min(least_us, thread_cpu_us() - started_us);
    }
    std::printf("  %s: %.0f µs\n", name, least_us);
  };
  OverlayMask mask{.width = 1920,
                   .height = 1080,
                   .columns = 512,
                   .rows = 512,
                   .runs = {0, 512 * 512},
                   .color = 0xFF0000};
  measure("the whole frame", mask);
  mask.runs.assign(size_t{512} * 512, 1);
  measure("every second cell of 512 x 512", mask);
  CHECK(tinted(picture) > 0);
}

}  // namespace

int main() { return framebus::test::run_all(); }
