// Pictures in another size, and what is drawn on them: in its place, and nothing of what is
// concealed left beside it.
#include "core/picture_scaler.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "core/draw.h"
#include "core/overlay_scale.h"
#include "core/picture_pool.h"
#include "picture_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

FrameFormat format_of(uint32_t width, uint32_t height, PixelFormat pixels = PixelFormat::kI420) {
  FrameFormat format;
  format.width = width;
  format.height = height;
  format.pixel_format = pixels;
  return format;
}

FrameView view_of(const Picture& picture) {
  FrameView view{.format = picture.frame.format};
  for (uint32_t p = 0; p < plane_count(view.format.pixel_format); ++p) {
    view.data[p] = picture.planes[p].data();
    view.stride[p] = picture.frame.stride[p];
  }
  return view;
}

// The picture in another width, concealed and drawn on as an output does.
Picture scaled_picture(const Picture& from, uint32_t width, const Overlay& overlay = {}) {
  init_gstreamer();
  const FrameFormat& format = from.frame.format;
  const FrameFormat to = scaled_format(format, width);
  PicturePool pool(to);
  const GstPtr<GstBuffer> buffer = pool.acquire();
  PictureMap map(buffer.get(), to, GST_MAP_READWRITE);
  PictureScaler(format, to).scale(view_of(from), map.frame());
  LabelCache labels;
  draw_overlay(map.pixels(), scaled(overlay, format, to), labels);
  Picture result(to.width, to.height, to.pixel_format);
  const FrameView seen = map.view();
  for (uint32_t p = 0; p < plane_count(to.pixel_format); ++p) {
    for (uint32_t y = 0; y < plane_rows(to, p); ++y) {
      const uint8_t* row = seen.data[p] + size_t{seen.stride[p]} * y;
      std::copy_n(row, plane_row_bytes(to, p),
                  &result.planes[p][size_t{result.frame.stride[p]} * y]);
    }
  }
  return result;
}

TEST("the height follows the width, to an even number") {
  const auto height = [](uint32_t from_width, uint32_t from_height, uint32_t width) {
    return scaled_format(format_of(from_width, from_height), width).height;
  };
  CHECK(height(1920, 1080, 640) == 360);
  CHECK(height(1920, 1080, 320) == 180);
  CHECK(height(320, 240, 640) == 480);
  CHECK(height(1080, 1920, 360) == 640);
  CHECK(height(1366, 768, 640) == 360);
  CHECK(height(4000, 10, 64) == 2);
  CHECK(scaled_format(format_of(321, 241), 0) == format_of(320, 240));
  CHECK(scaled_format(format_of(321, 241), 320) == format_of(320, 240));
  FrameFormat narrow = format_of(720, 576);
  narrow.pixel_aspect_numerator = 16;
  narrow.pixel_aspect_denominator = 15;
  CHECK(scaled_format(narrow, 360).height == 288);
  CHECK(scaled_format(narrow, 360).pixel_aspect_numerator == 16);
}

// A ramp stays a ramp of the same ends: every pixel is where it was, whatever the strides.
void expect_ramp(uint32_t width, uint32_t height, PixelFormat pixels, uint32_t to_width) {
  Picture from(width, height, pixels);
  const auto level = [](double at, uint32_t of) { return 30 + 180 * (at + 0.5) / of; };
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x)
      from.planes[0][size_t{y} * from.frame.stride[0] + x] =
          static_cast<uint8_t>(std::lround(level(x, width)));
  }
  const uint32_t rows = plane_rows(from.frame.format, 1);
  for (uint32_t p = 1; p < plane_count(pixels); ++p) {
    for (uint32_t y = 0; y < rows; ++y)
      std::fill_n(&from.planes[p][size_t{y} * from.frame.stride[p]],
                  plane_row_bytes(from.frame.format, p),
                  static_cast<uint8_t>(std::lround(level(y, rows))));
  }
  const Picture to = scaled_picture(from, to_width);
  const FrameFormat& format = to.frame.format;
  CHECK(format.width == to_width);
  for (uint32_t y = 8; y + 8 < format.height; ++y) {
    for (uint32_t x = 8; x + 8 < format.width; ++x) {
      const auto [luma, u, v] = to.at(x, y);
      CHECK(std::abs(luma - level(x, format.width)) < 2.5);
      CHECK(std::abs(u - level(y / 2, plane_rows(format, 1))) < 2.5);
      CHECK(u == v);
    }
  }
}

TEST("pixels stay where they were, in both layouts, smaller and larger, of odd sizes too") {
  for (const PixelFormat pixels : {PixelFormat::kI420, PixelFormat::kNv12}) {
    expect_ramp(640, 360, pixels, 320);
    expect_ramp(640, 360, pixels, 250);
    expect_ramp(321, 241, pixels, 100);
    expect_ramp(160, 120, pixels, 400);
  }
}

TEST("nothing of what is concealed is left, nor beside it, in any size") {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    const PixelFormat pixels = round % 2 == 0 ? PixelFormat::kI420 : PixelFormat::kNv12;
    const auto width = static_cast<uint32_t>(64 + random() % 200);
    const auto height = static_cast<uint32_t>(64 + random() % 200);
    const auto to_width = static_cast<uint32_t>(16 + 2 * (random() % 160));
    const auto fraction = [&] { return static_cast<double>(random() % 1000) / 1000; };
    OverlayConcealed area{.x = fraction() * width - 20,
                          .y = fraction() * height - 20,
                          .width = 1 + fraction() * width / 2,
                          .height = 1 + fraction() * height / 2};
    if (round % 3 == 0) {  // The same area, given from its other corner.
      area.x += area.width;
      area.width = -area.width;
    }
    const double left = std::min(area.x, area.x + area.width);
    // Two scenes that differ only there: black and white, chroma as well.
    std::vector<Picture> scenes;
    for (const uint8_t inside : {uint8_t{16}, uint8_t{235}}) {
      Picture scene(width, height, pixels);
      for (uint32_t p = 0; p < plane_count(pixels); ++p) {
        const double shrink = p == 0 ? 1 : 0.5;
        const uint32_t bytes = p > 0 && pixels == PixelFormat::kNv12 ? 2 : 1;
        for (uint32_t y = 0; y < plane_rows(scene.frame.format, p); ++y) {
          for (uint32_t x = 0; x < plane_row_bytes(scene.frame.format, p); ++x) {
            // A sample is of the area when its whole square lies in it.
            const double at_x = x / bytes / shrink;
            const double at_y = y / shrink;
            const bool in = at_x >= left && at_x + 1 / shrink <= left + std::abs(area.width) &&
                            at_y >= area.y && at_y + 1 / shrink <= area.y + area.height;
            if (in) scene.planes[p][size_t{y} * scene.frame.stride[p] + x] = inside;
          }
        }
      }
      scenes.push_back(std::move(scene));
    }
    const Overlay overlay{.concealed = {area}};
    const Picture dark = scaled_picture(scenes[0], to_width, overlay);
    const Picture bright = scaled_picture(scenes[1], to_width, overlay);
    CHECK(dark.planes == bright.planes);
  }
}

TEST("places scale with the picture; lines and letters stay legible") {
  const FrameFormat from = format_of(1920, 1080);
  const FrameFormat to = format_of(480, 270);
  const Overlay drawn = scaled({.lines = {{.xy = {400, 200, 1920, 1080}, .color = 1}},
                                .boxes = {{40, 80, 400, 200, "car", 1}},
                                .texts = {{.x = 1920, .y = 0, .text = "now"}},
                                .line_width = 6,
                                .font_px = 30},
                               from, to);
  CHECK((drawn.lines[0].xy == std::vector<float>{100, 50, 480, 270}));
  CHECK(drawn.boxes[0].x == 10 && drawn.boxes[0].y == 20);
  CHECK(drawn.boxes[0].width == 100 && drawn.boxes[0].height == 50);
  CHECK(drawn.texts[0].x == 480);
  CHECK(drawn.line_width == 2);
  CHECK(drawn.font_px == 11);
  CHECK(scaled({.line_width = 12, .font_px = 80}, from, to).font_px == 20);
  CHECK(scaled({.font_px = 9}, from, to).font_px == 9);
  // 0 is the picture's own business.
  CHECK(scaled({}, from, to).line_width == 0 && scaled({}, from, to).font_px == 0);
}

TEST("an area to conceal that is not finite stays the whole picture") {
  Picture from(128, 96, PixelFormat::kI420);
  std::fill(from.planes[0].begin(), from.planes[0].end(), uint8_t{200});
  const std::vector<OverlayConcealed> areas{{.width = kInfinite, .height = kInfinite},
                                            {.x = kNan, .width = 2, .height = 2},
                                            {.width = 2, .height = kNan}};
  for (const OverlayConcealed& area : areas) {
    const Picture to = scaled_picture(from, 64, {.concealed = {area}});
    for (uint32_t y = 0; y < 48; ++y)
      for (uint32_t x = 0; x < 64; ++x) CHECK(to.at(x, y)[0] == 16);
  }
}

}  // namespace

int main() { return framebus::test::run_all(); }
