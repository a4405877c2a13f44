// Lines, texts, styles and what is concealed, against rules written down per pixel.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "core/draw.h"
#include "picture_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

using With = OverlayConcealed::With;

constexpr std::array<int, 3> kRed{81, 90, 240};  // BT.601, limited range.
constexpr std::array<int, 3> kBlack{16, 128, 128};
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Every sample different from its neighbours.
Picture noise(uint32_t width, uint32_t height, PixelFormat format) {
  Picture picture(width, height, format);
  std::mt19937 random(7);
  for (uint32_t p = 0; p < plane_count(format); ++p) {
    for (uint32_t y = 0; y < plane_rows(picture.frame.format, p); ++y) {
      uint8_t* row = &picture.planes[p][size_t{y} * picture.frame.stride[p]];
      for (uint32_t x = 0; x < plane_row_bytes(picture.frame.format, p); ++x) {
        row[x] = static_cast<uint8_t>(random());
      }
    }
  }
  return picture;
}

double distance(double x, double y, PixelPoint a, PixelPoint b) {
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const double length = dx * dx + dy * dy;
  const double at =
      length > 0 ? std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length, 0.0, 1.0) : 0;
  return std::hypot(x - a.x - at * dx, y - a.y - at * dy);
}

TEST("lines cover what is within half their width, luma and chroma, in both formats") {
  std::mt19937 random(3);
  LabelCache labels;
  for (int round = 0; round < 200; ++round) {
    const uint32_t width = 1 + static_cast<uint32_t>(random() % 90);
    const uint32_t height = 1 + static_cast<uint32_t>(random() % 90);
    const auto format = random() % 2 != 0 ? PixelFormat::kNv12 : PixelFormat::kI420;
    const auto number = [&] { return static_cast<float>(random() % 1500) / 10 - 30; };
    const std::vector<float> xy{number(), number(), number(), number()};
    const PixelPoint a{xy[0], xy[1]};
    const PixelPoint b{xy[2], xy[3]};
    const uint32_t line = 2 + 2 * static_cast<uint32_t>(random() % 4);
    Picture picture(width, height, format);
    draw_overlay(picture.frame, {.lines = {{.xy = xy, .color = 0xFF0000}}, .line_width = line},
                 labels);
    const PixelPoint half_a{a.x / 2, a.y / 2};
    const PixelPoint half_b{b.x / 2, b.y / 2};
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        const double luma = distance(x + 0.5, y + 0.5, a, b) - line / 2.0;
        const double chroma =
            distance(x / 2 + 0.5, y / 2 + 0.5, half_a, half_b) - std::max(line / 4.0, 0.71);
        // On the very edge rounding decides.
        if (std::abs(luma) > 1e-6) CHECK(picture.at(x, y)[0] == (luma < 0 ? kRed[0] : kGrey));
        if (std::abs(chroma) > 1e-6) CHECK(picture.at(x, y)[2] == (chroma < 0 ? kRed[2] : kGrey));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

TEST("a line that fades comes out of nothing, and is even where its parts meet") {
  LabelCache labels;
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    Picture picture(200, 40, format);
    std::vector<float> xy;
    for (int x = 10; x <= 170; x += 10) xy.insert(xy.end(), {static_cast<float>(x), 20});
    draw_overlay(picture.frame,
                 {.lines = {{.xy = xy, .color = 0xFF0000, .fades = true}}, .line_width = 4},
                 labels);
    int before = kGrey;
    for (uint32_t x = 10; x < 170; ++x) {
      const int luma = picture.at(x, 20)[0];
      // The first part that is opaque has a round end, which reaches into the one before.
      if (x == 78 || x == 79) continue;
      const bool first_of_part = x % 10 == 0;
      CHECK(std::abs(luma - kRed[0]) <= std::abs(before - kRed[0]));
      CHECK(first_of_part || luma == before);
      CHECK((luma == kRed[0]) == (x >= 80));
      CHECK(picture.at(x, 18)[0] == luma && picture.at(x, 17)[0] == kGrey);
      if (x < 78) CHECK(picture.at(x, 20)[2] != kRed[2] && picture.at(x, 20)[2] != kGrey);
      before = luma;
    }
    CHECK(std::abs(picture.at(12, 20)[0] - kGrey) < std::abs(kRed[0] - kGrey) / 4);
    CHECK(picture.padding_untouched());
  }
}

TEST("a line goes from point to point; what is not finite or far away is left out") {
  LabelCache labels;
  Picture picture(64, 48, PixelFormat::kI420);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  draw_overlay(picture.frame,
               {.lines = {{.xy = {10, 10, 30, 10, 30, 30, nan, 30, 50, 30, 50, infinite, 9},
                           .color = 0xFF0000},
                          {.xy = {1e30F, -1e30F, -1e30F, -2e30F}, .color = 0xFF0000},
                          {.xy = {40, 40}, .color = 0xFF0000},
                          {.xy = {}, .color = 0xFF0000}}},
               labels);
  CHECK(picture.at(20, 10)[0] == kRed[0] && picture.at(30, 20)[0] == kRed[0]);
  for (uint32_t y = 0; y < 48; ++y) {
    for (uint32_t x = 0; x < 64; ++x) {
      const bool near = distance(x + 0.5, y + 0.5, {10, 10}, {30, 10}) < 1 ||
                        distance(x + 0.5, y + 0.5, {30, 10}, {30, 30}) < 1;
      CHECK(picture.at(x, y)[0] == kGrey || near);
    }
  }
}

TEST("what is concealed by filling is black, whole chroma samples, and nothing else is touched") {
  LabelCache labels;
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    Picture picture(51, 41, format);
    draw_overlay(
        picture.frame,
        {.concealed = {{11.5, 9, 10.2, -4.5, With::kFill}, {45, 35, 100, 100, With::kFill}}},
        labels);
    for (uint32_t y = 0; y < 41; ++y) {
      for (uint32_t x = 0; x < 51; ++x) {
        const bool in = (x >= 10 && x < 22 && y >= 4 && y < 10) || (x >= 44 && y >= 34);
        CHECK(picture.at(x, y) == (in ? kBlack : kUntouched));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

// Largest difference between neighbours in a row or column of one plane's area.
int steepest(const Picture& picture, size_t channel, uint32_t left, uint32_t top, uint32_t right,
             uint32_t bottom) {
  int most = 0;
  for (uint32_t y = top; y < bottom; ++y) {
    for (uint32_t x = left; x < right; ++x) {
      const int here = picture.at(x, y)[channel];
      if (x + 1 < right) most = std::max(most, std::abs(here - picture.at(x + 1, y)[channel]));
      if (y + 1 < bottom) most = std::max(most, std::abs(here - picture.at(x, y + 1)[channel]));
    }
  }
  return most;
}

TEST("what is blurred depends on nothing but the means of at most sixteen parts") {
  LabelCache labels;
  for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
    Picture picture = noise(97, 81, format);
    const Picture before = picture;
    draw_overlay(picture.frame, {.concealed = {{20, 10, 48, 64, With::kBlur}}}, labels);
    // Two pixels change places within a part: nobody can tell.
    Picture other = before;
    std::swap(other.planes[0][12 * size_t{other.frame.stride[0]} + 21],
              other.planes[0][23 * size_t{other.frame.stride[0]} + 29]);
    for (uint32_t p = 0; p < kMaxPlanes; ++p) other.frame.data[p] = other.planes[p].data();
    draw_overlay(other.frame, {.concealed = {{20, 10, 48, 64, With::kBlur}}}, labels);
    CHECK(other.planes == picture.planes);
    for (size_t channel = 0; channel < 3; ++channel) {
      CHECK(steepest(before, channel, 20, 10, 68, 74) > 150);
      CHECK(steepest(picture, channel, 20, 10, 68, 74) < 20);
    }
    for (uint32_t y = 0; y < 81; ++y) {
      for (uint32_t x = 0; x < 97; ++x) {
        const bool in = x >= 20 && x < 68 && y >= 10 && y < 74;
        if (!in) CHECK(picture.at(x, y) == before.at(x, y));
      }
    }
    CHECK(picture.padding_untouched());
  }
}

TEST("a blur keeps what is even, and small areas have one colour") {
  LabelCache labels;
  Picture even(64, 48, PixelFormat::kNv12);
  draw_overlay(even.frame, {.concealed = {{3, 3, 50, 40, With::kBlur}}}, labels);
  for (uint32_t x = 0; x < 64; ++x) CHECK(even.at(x, 20) == kUntouched);
  Picture small = noise(64, 48, PixelFormat::kI420);
  draw_overlay(small.frame, {.concealed = {{10, 10, 14, 11, With::kBlur}}}, labels);
  CHECK(steepest(small, 0, 10, 10, 24, 22) == 0 && steepest(small, 1, 10, 10, 24, 22) == 0);
}

TEST("an area to conceal that is not finite is the whole picture; of any size of picture") {
  LabelCache labels;
  const std::vector<OverlayConcealed> odd{{kNan, 0, 9, 9, With::kFill},
                                          {0, 0, kInfinite, 9, With::kFill},
                                          {-kInfinite, 0, kInfinite, 9, With::kFill},
                                          {0, 1e308, 9, 1e308, With::kFill},
                                          {-1e300, -1e300, 1e301, 1e301, With::kFill}};
  for (const OverlayConcealed& area : odd) {
    for (const uint32_t side : {1U, 2U, 7U, 64U}) {
      Picture filled(side, side, PixelFormat::kI420);
      draw_overlay(filled.frame, {.concealed = {area}}, labels);
      for (uint32_t i = 0; i < side * side; ++i) {
        CHECK(filled.at(i % side, i / side) == kBlack);
      }
      Picture blurred = noise(side, side, PixelFormat::kNv12);
      OverlayConcealed blur = area;
      blur.with = With::kBlur;
      draw_overlay(blurred.frame, {.concealed = {blur}}, labels);
      CHECK(steepest(blurred, 0, 0, 0, side, side) < 40);
      CHECK(blurred.padding_untouched());
    }
  }
}

TEST("boxes are drawn over what is concealed") {
  LabelCache labels;
  Picture picture(64, 48, PixelFormat::kI420);
  draw_overlay(
      picture.frame,
      {.concealed = {{0, 0, 64, 48, With::kFill}}, .boxes = {{10, 10, 20, 20, "", 0xFF0000}}},
      labels);
  CHECK(picture.at(10, 10) == kRed && picture.at(20, 20) == kBlack);
}

TEST("the style's line width is rounded up to an even one, and its font size is taken") {
  const FrameFormat format = Picture(320, 240, PixelFormat::kI420).frame.format;
  CHECK(overlay_style(format, {}).outline == 2 && overlay_style(format, {}).font_px == 11);
  const OverlayStyle odd = overlay_style(format, {.line_width = 3, .font_px = 20});
  CHECK(odd.outline == 4 && odd.font_px == 20);
  const OverlayStyle huge =
      overlay_style(format, {.line_width = 4000000000U, .font_px = 4000000000U});
  CHECK(huge.outline == 320 && huge.font_px == 320);
}

// What a text's plate covers; red has another luma than the picture.
PixelRect extent(const Picture& picture) {
  PixelRect rect{1000, 1000, 0, 0};
  for (int32_t y = 0; y < static_cast<int32_t>(picture.frame.format.height); ++y) {
    for (int32_t x = 0; x < static_cast<int32_t>(picture.frame.format.width); ++x) {
      if (picture.at(static_cast<uint32_t>(x), static_cast<uint32_t>(y))[0] == kGrey) continue;
      rect = {std::min(rect.left, x), std::min(rect.top, y), std::max(rect.right, x + 1),
              std::max(rect.bottom, y + 1)};
    }
  }
  return rect;
}

TEST("texts lie where they are told, moved into the picture") {
  LabelCache labels;
  const auto plate = labels.mask("clock", 11, 320);
  const auto width = static_cast<int32_t>(plate->width);
  const auto height = static_cast<int32_t>(plate->height);
  const auto placed = [&](double x, double y) {
    Picture picture(320, 240, PixelFormat::kNv12);
    draw_overlay(picture.frame, {.texts = {{.x = x, .y = y, .text = "clock", .color = 0xFF0000}}},
                 labels);
    CHECK(picture.padding_untouched());
    return extent(picture);
  };
  const auto is = [&](const PixelRect& rect, int32_t left, int32_t top) {
    return rect.left == left && rect.top == top && rect.width() == width && rect.height() == height;
  };
  CHECK(is(placed(0, 0), 0, 0));
  CHECK(is(placed(101, 51.9), 100, 50));
  CHECK(is(placed(320, -5), 320 - width, 0));
  CHECK(is(placed(1e9, 1e9), 320 - width, 240 - height));
  CHECK(placed(kNan, 0).right == 0);
}

TEST("texts do not hide each other, and labels not the texts") {
  LabelCache labels;
  Picture picture(160, 120, PixelFormat::kI420);
  const OverlayText time{.x = 160, .y = 0, .text = "2026-05-04 13:07:59 UTC", .color = 0xFF0000};
  const OverlayText name{.x = 0, .y = 0, .text = "North gate", .color = 0x0000FF};
  draw_overlay(picture.frame,
               {.boxes = {{4, 2, 60, 100, "person", 0x00FF00}}, .texts = {time, name}}, labels);
  const auto upper = labels.mask(time.text, 11, 160);
  const uint32_t second = upper->height;
  const auto lower = labels.mask(name.text, 11, 160);
  CHECK(picture.at(0, second) != picture.at(159, 0));  // Blue, below the red one.
  CHECK(picture.at(0, second)[1] == 240);
  CHECK(picture.at(0, second + lower->height - 1)[1] == 240);
  CHECK(picture.at(lower->width, second)[1] != 240);
}

TEST("the smallest pictures take everything") {
  LabelCache labels;
  for (uint32_t width = 1; width < 70; width += 7) {
    for (uint32_t height = 1; height < 50; height += 7) {
      for (const auto format : {PixelFormat::kNv12, PixelFormat::kI420}) {
        Picture picture(width, height, format);
        draw_overlay(picture.frame,
                     {.concealed = {{-3, -3, 20, 20, With::kBlur}},
                      .lines = {{.xy = {-5, -5, 80, 60}, .color = 0xFF0000}},
                      .boxes = {{2, 2, 30, 30, "person 87 %", 0xFF8000}},
                      .texts = {{.x = 64, .y = 0, .text = "2026-05-04", .color = 0x202020},
                                {.x = 0, .y = 0, .text = "gate", .color = 0x202020}},
                      .line_width = 6,
                      .font_px = 30},
                     labels);
        CHECK(picture.padding_untouched());
      }
    }
  }
}

}  // namespace

int main() { return framebus::test::run_all(); }
