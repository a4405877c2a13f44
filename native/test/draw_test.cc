// Drawing on planes, against rules written down per pixel.
#include "core/draw.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "check.h"
#include "core/label_placement.h"
#include "picture_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr std::array<int, 3> kRed{81, 90, 240};  // BT.601, limited range.

long even(double value) { return 2 * std::lround(value / 2); }

// Whether the outline of a box covers a pixel.
bool on_outline(const OverlayBox& box, long line, long x, long y) {
  const long left = even(box.x);
  const long top = even(box.y);
  const long right = std::max(even(box.x + box.width), left + 2);
  const long bottom = std::max(even(box.y + box.height), top + 2);
  if (x < left || x >= right || y < top || y >= bottom) return false;
  return x < left + line || x >= right - line || y < top + line || y >= bottom - line;
}

TEST("outlines cover exactly their pixels, clipped, in both formats, at any size") {
  std::mt19937 random(1);
  LabelCache labels;
  for (int round = 0; round < 400; ++round) {
    const uint32_t width = 1 + static_cast<uint32_t>(random() % 90);
    const uint32_t height = 1 + static_cast<uint32_t>(random() % 90);
    const auto format = random() % 2 != 0 ? PixelFormat::kNv12 : PixelFormat::kI420;
    Picture picture(width, height, format);
    const auto number = [&](int low, int high) {
      return low + static_cast<double>(random() % 1000) / 1000 * (high - low);
    };
    const OverlayBox box{number(-40, 100), number(-40, 100), number(1, 90), number(1, 90), "",
                         0xFF0000};
    draw_overlay(picture.frame, {.boxes = {box}}, labels);
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        CHECK(picture.at(x, y) == (on_outline(box, 2, x, y) ? kRed : kUntouched));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

TEST("colours follow the frame's matrix and range") {
  LabelCache labels;
  const auto drawn = [&](uint32_t color, ColorMatrix matrix, ColorRange range) {
    Picture picture(8, 8, PixelFormat::kI420);
    picture.frame.format.matrix = matrix;
    picture.frame.format.range = range;
    draw_overlay(picture.frame, {.boxes = {{0, 0, 8, 8, "", color}}}, labels);
    return picture.at(0, 0);
  };
  using Levels = std::array<int, 3>;
  CHECK((drawn(0xFFFFFF, ColorMatrix::kBt601, ColorRange::kLimited) == Levels{235, 128, 128}));
  CHECK((drawn(0xFFFFFF, ColorMatrix::kBt709, ColorRange::kFull) == Levels{255, 128, 128}));
  CHECK((drawn(0xFF0000, ColorMatrix::kBt709, ColorRange::kLimited) == Levels{63, 102, 240}));
  CHECK((drawn(0x00FF00, ColorMatrix::kBt709, ColorRange::kLimited) == Levels{173, 42, 26}));
  CHECK((drawn(0xFF0000, ColorMatrix::kBt601, ColorRange::kFull) == Levels{76, 85, 255}));
  CHECK((drawn(0x0000FF, ColorMatrix::kBt601, ColorRange::kFull) == Levels{29, 255, 107}));
}

TEST("boxes that are not finite, empty or far away leave the picture alone") {
  LabelCache labels;
  Picture picture(64, 48, PixelFormat::kNv12);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  const std::vector<OverlayBox> boxes{
      {nan, 1, 10, 10, "a", 0xFF0000},   {1, 1, infinite, 10, "b", 0xFF0000},
      {5, 5, 0, 10, "c", 0xFF0000},      {5, 5, 10, -4, "d", 0xFF0000},
      {1e300, 5, 10, 10, "e", 0xFF0000}, {-1e300, -1e300, 1e299, 1e299, "f", 0xFF0000},
      {64, 0, 10, 10, "g", 0xFF0000},    {-1e9, -1e9, 3e9, 3e9, "", 0xFF0000}};
  draw_overlay(picture.frame, {.boxes = boxes}, labels);
  for (uint32_t y = 0; y < 48; ++y) {
    for (uint32_t x = 0; x < 64; ++x) CHECK(picture.at(x, y) == kUntouched);
  }
}

TEST("a label lies above its box: plate in the box's colour, text by contrast") {
  LabelCache labels;
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    for (const uint32_t color : {0xFFFF00U, 0x000080U}) {
      Picture picture(320, 240, format);
      const OverlayStyle style = overlay_style(320, 240);
      draw_overlay(picture.frame, {.boxes = {{100, 100, 80, 90, "person 87 %", color}}}, labels);
      const auto mask = labels.mask("person 87 %", style.font_px, 320);
      const uint32_t top = 100 - mask->height;
      const auto plate = picture.at(100, 100);  // The outline.
      size_t text = 0;
      for (uint32_t y = 0; y < mask->height; ++y) {
        for (uint32_t x = 0; x < mask->width; ++x) {
          const uint8_t coverage = mask->full[size_t{y} * mask->width + x];
          const int luma = picture.at(100 + x, top + y)[0];
          if (coverage == 0) CHECK(luma == plate[0]);
          if (coverage == 255) CHECK(luma == (color == 0xFFFF00U ? 16 : 235));
          text += coverage > 200 ? 1 : 0;
        }
      }
      CHECK(text > 60);  // Eleven characters have some ink.
      CHECK((picture.at(100, top) == plate) && (picture.at(100, top - 1) == kUntouched));
      CHECK(picture.at(100 + mask->width, top + 2) == kUntouched);
      CHECK(picture.padding_untouched());
    }
  }
}

TEST("both formats get the same picture") {
  LabelCache labels;
  Picture planar(201, 133, PixelFormat::kI420);
  Picture packed(201, 133, PixelFormat::kNv12);
  const std::vector<OverlayBox> boxes{{-5, -5, 60, 70, "left", 0x3FA9F5},
                                      {150, 90, 80, 80, "right", 0xB36AE2},
                                      {60, 40, 30, 30, "middle", 0x57D957}};
  draw_overlay(planar.frame, {.boxes = boxes}, labels);
  draw_overlay(packed.frame, {.boxes = boxes}, labels);
  for (uint32_t y = 0; y < 133; ++y) {
    for (uint32_t x = 0; x < 201; ++x) CHECK(planar.at(x, y) == packed.at(x, y));
  }
}

TEST("labels stay within the smallest pictures") {
  LabelCache labels;
  for (uint32_t width = 1; width < 40; width += 3) {
    for (uint32_t height = 1; height < 40; height += 3) {
      for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
        Picture picture(width, height, format);
        draw_overlay(picture.frame,
                     {.boxes = {{-3, -3, 30, 30, "a long label that has no room", 0xFF0000}}},
                     labels);
        CHECK(picture.padding_untouched());
      }
    }
  }
}

bool apart(const PixelRect& a, const PixelRect& b) {
  return a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
}

TEST("labels are placed above, inside at the picture's top, and clear of each other") {
  const std::vector<LabelRequest> alone{{{100, 100, 180, 300}, 90, 20}};
  const PixelRect above = place_labels(alone, 640, 480)[0];
  CHECK(above.left == 100 && above.bottom == 100 && above.width() == 90);
  const std::vector<LabelRequest> at_top{{{600, 10, 640, 300}, 90, 20}};
  const PixelRect inside = place_labels(at_top, 640, 480)[0];
  CHECK(inside.top == 10 && inside.right == 640);
  const std::vector<LabelRequest> group{{{100, 100, 150, 220}, 90, 20},
                                        {{120, 104, 170, 220}, 90, 20},
                                        {{140, 100, 190, 220}, 90, 20},
                                        {{130, 110, 180, 230}, 90, 20}};
  const std::vector<PixelRect> plates = place_labels(group, 640, 480);
  for (size_t a = 0; a < plates.size(); ++a) {
    for (size_t b = 0; b < a; ++b) CHECK(apart(plates[a], plates[b]));
  }
}

TEST("placement does not depend on the order of boxes, and keeps plates in the picture") {
  std::mt19937 random(2);
  std::vector<LabelRequest> requests;
  for (int i = 0; i < 40; ++i) {
    const auto x = static_cast<int32_t>(random() % 600);
    const auto y = static_cast<int32_t>(random() % 400);
    requests.push_back({{x, y, x + 40, y + 80}, 90, 20});
  }
  const std::vector<PixelRect> plates = place_labels(requests, 640, 480);
  std::vector<LabelRequest> reversed(requests.rbegin(), requests.rend());
  const std::vector<PixelRect> again = place_labels(reversed, 640, 480);
  for (size_t i = 0; i < plates.size(); ++i) {
    const PixelRect& plate = plates[i];
    CHECK(plate.left >= 0 && plate.top >= 0 && plate.right <= 640 && plate.bottom <= 480);
    CHECK(plate.left % 2 == 0 && plate.top % 2 == 0);
    CHECK(plate.left == again[plates.size() - 1 - i].left);
    CHECK(plate.top == again[plates.size() - 1 - i].top);
  }
}

TEST("outline and font grow with the picture") {
  const OverlayStyle small = overlay_style(640, 360);
  const OverlayStyle large = overlay_style(3840, 2160);
  CHECK(small.outline == 2 && small.font_px >= 11);
  CHECK(large.outline == 6 && large.font_px >= 48);
  CHECK(overlay_style(2160, 3840).font_px == large.font_px);
}

TEST("label masks are kept, cut to the width, and survive bad text") {
  LabelCache labels;
  const auto first = labels.mask("person", 14, 640);
  CHECK(first && first == labels.mask("person", 14, 640));
  CHECK(first != labels.mask("person", 28, 640));
  CHECK(first->width % 2 == 0 && first->height % 2 == 0);
  CHECK(first->half.size() * 4 == first->full.size());
  CHECK(labels.mask("", 14, 640) == nullptr);
  CHECK(labels.mask("a very long text for such a narrow picture", 14, 100)->width <= 100);
  CHECK(labels.mask(std::string(100000, 'x'), 14, 640)->width <= 640);
  CHECK(labels.mask("\xff\xfe broken \xc3", 14, 640) != nullptr);
  CHECK(labels.mask("two\nlines", 14, 640)->height <= first->height + 4);
}

TEST("the cache of labels is bounded, and forgets what was used longest ago") {
  LabelCache labels(20000);
  const auto kept = labels.mask("kept", 14, 640);
  const auto lost = labels.mask("lost", 14, 640);
  for (int i = 0; i < 60; ++i) {
    labels.mask("label " + std::to_string(i), 14, 640);
    CHECK(labels.mask("kept", 14, 640) == kept);
  }
  CHECK(labels.mask("lost", 14, 640) != lost);
}

TEST("several outputs draw at the same time") {
  LabelCache labels(50000);
  std::vector<std::jthread> outputs;
  for (int t = 0; t < 4; ++t) {
    outputs.emplace_back([&labels] {
      Picture picture(320, 240, PixelFormat::kNv12);
      for (int i = 0; i < 100; ++i) {
        const std::string text = "person " + std::to_string(i % 50) + " %";
        draw_overlay(picture.frame, {.boxes = {{20, 40, 80, 90, text, 0xFF8000}}}, labels);
      }
    });
  }
}

TEST("outlines of parts are half as thick, chroma rounded up to whole samples") {
  LabelCache labels;
  Picture thin(320, 240, PixelFormat::kNv12);
  draw_overlay(thin.frame, {.boxes = {{20, 30, 40, 50, "", 0xFF0000, true}}}, labels);
  for (uint32_t y = 0; y < 240; ++y) {
    for (uint32_t x = 0; x < 320; ++x) {
      const bool inside = x >= 20 && x < 60 && y >= 30 && y < 80;
      const bool line = inside && (x == 20 || x == 59 || y == 30 || y == 79);
      const bool near = inside && (x < 22 || x >= 58 || y < 32 || y >= 78);
      CHECK(thin.at(x, y)[0] == (line ? kRed[0] : kGrey));
      CHECK(thin.at(x, y)[1] == (near ? kRed[1] : kGrey));
    }
  }
  Picture large(1920, 1080, PixelFormat::kI420);
  draw_overlay(large.frame, {.boxes = {{100, 100, 200, 200, "", 0xFF0000, true}}}, labels);
  CHECK(large.at(101, 150) == kRed && large.at(102, 150) == kUntouched);
}

TEST("points are filled circles, clipped, in both formats") {
  LabelCache labels;
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    for (const auto& [cx, cy] : {std::pair{50.3F, 40.8F}, {0.0F, 0.0F}, {100.4F, 74.9F}}) {
      Picture picture(101, 75, format);
      draw_overlay(picture.frame, {.points = {{.xy = {cx, cy}, .color = 0xFF0000}}}, labels);
      const double radius = overlay_style(101, 75).outline;
      size_t luma = 0;
      size_t chroma = 0;
      for (uint32_t y = 0; y < 75; ++y) {
        for (uint32_t x = 0; x < 101; ++x) {
          const bool in = std::hypot(x + 0.5 - cx, y + 0.5 - cy) <= radius;
          const bool half_in = std::hypot(x / 2 + 0.5 - cx / 2, y / 2 + 0.5 - cy / 2) <= radius / 2;
          CHECK(picture.at(x, y)[0] == (in ? kRed[0] : kGrey));
          CHECK(picture.at(x, y)[2] == (half_in ? kRed[2] : kGrey));
          luma += in ? 1 : 0;
          chroma += half_in ? 1 : 0;
        }
      }
      CHECK(luma >= 3 && chroma >= 1);
      CHECK(picture.padding_untouched());
    }
  }
}

TEST("points that are not finite, far away or only half there are left out") {
  LabelCache labels;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  Picture picture(33, 17, PixelFormat::kNv12);
  const OverlayPoints points{
      .xy = {nan, 3, 3, infinite, -infinite, 4, 1e30F, 5, 5, -1e30F, -9, -9, 40, 8, 7},
      .color = 0xFF0000};
  draw_overlay(picture.frame, {.points = {points, {.xy = {}, .color = 1}}}, labels);
  for (uint32_t y = 0; y < 17; ++y) {
    for (uint32_t x = 0; x < 33; ++x) CHECK(picture.at(x, y) == kUntouched);
  }
  CHECK(picture.padding_untouched());
}

}  // namespace

int main() { return framebus::test::run_all(); }
