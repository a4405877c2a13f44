// Whole pictures, against references that people have looked at.
//   draw_picture_test --write   draws the references anew (native/test/pictures): look at them.
#include <cairo.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "core/draw.h"
#include "picture_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

using With = OverlayConcealed::With;

struct Destroy {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};
using Surface = std::unique_ptr<cairo_surface_t, Destroy>;

// Pixels as 0xRRGGBB.
struct Rgb {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint32_t> pixels;
};

std::filesystem::path folder() {
  return std::filesystem::path(__FILE__).parent_path() / "pictures";
}

// A ramp in luma and both chromas, with a bright window, so that a picture has something to hide.
Picture scene(uint32_t width, uint32_t height, PixelFormat format) {
  Picture picture(width, height, format);
  const auto ramp = [](uint32_t at, uint32_t of, int low, int high) {
    return static_cast<uint8_t>(low + static_cast<int>(at) * (high - low) / static_cast<int>(of));
  };
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      const bool window = x / 8 % 4 == 1 && y / 8 % 4 == 1;
      picture.planes[0][size_t{y} * picture.frame.stride[0] + x] =
          window ? uint8_t{200} : ramp(y, height, 60, 120);
    }
  }
  const bool packed = format == PixelFormat::kNv12;
  for (uint32_t y = 0; y < (height + 1) / 2; ++y) {
    for (uint32_t x = 0; x < (width + 1) / 2; ++x) {
      const size_t row = size_t{y} * picture.frame.stride[1];
      const uint8_t u = ramp(x, width, 110, 140);
      const uint8_t v = ramp(y, height, 120, 150);
      picture.planes[1][row + (packed ? 2 * x : x)] = u;
      picture.planes[packed ? 1 : 2][row + (packed ? 2 * x + 1 : x)] = v;
    }
  }
  return picture;
}

// BT.601, limited range.
Rgb to_rgb(const Picture& picture) {
  Rgb rgb{picture.frame.format.width, picture.frame.format.height, {}};
  for (uint32_t y = 0; y < rgb.height; ++y) {
    for (uint32_t x = 0; x < rgb.width; ++x) {
      const auto [luma, u, v] = picture.at(x, y);
      const double grey = 1.164 * (luma - 16);
      const auto byte = [](double value) {
        return static_cast<uint32_t>(std::lround(std::clamp(value, 0.0, 255.0)));
      };
      rgb.pixels.push_back(byte(grey + 1.596 * (v - 128)) << 16 |
                           byte(grey - 0.392 * (u - 128) - 0.813 * (v - 128)) << 8 |
                           byte(grey + 2.017 * (u - 128)));
    }
  }
  return rgb;
}

void write_png(const Rgb& rgb, const std::filesystem::path& file) {
  const Surface surface(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(rgb.width),
                                                   static_cast<int>(rgb.height)));
  uint8_t* data = cairo_image_surface_get_data(surface.get());
  const auto stride = static_cast<size_t>(cairo_image_surface_get_stride(surface.get()));
  for (size_t y = 0; y < rgb.height; ++y) {
    std::memcpy(data + y * stride, &rgb.pixels[y * rgb.width], size_t{rgb.width} * 4);
  }
  cairo_surface_mark_dirty(surface.get());
  CHECK(cairo_surface_write_to_png(surface.get(), file.c_str()) == CAIRO_STATUS_SUCCESS);
}

Rgb read_png(const std::filesystem::path& file) {
  const Surface surface(cairo_image_surface_create_from_png(file.c_str()));
  if (cairo_surface_status(surface.get()) != CAIRO_STATUS_SUCCESS) {
    throw Failure(file.filename().string() + " is not there: draw it with --write");
  }
  const uint8_t* data = cairo_image_surface_get_data(surface.get());
  const auto stride = static_cast<size_t>(cairo_image_surface_get_stride(surface.get()));
  Rgb rgb{static_cast<uint32_t>(cairo_image_surface_get_width(surface.get())),
          static_cast<uint32_t>(cairo_image_surface_get_height(surface.get())),
          {}};
  for (size_t y = 0; y < rgb.height; ++y) {
    for (size_t x = 0; x < rgb.width; ++x) {
      uint32_t pixel = 0;
      std::memcpy(&pixel, data + y * stride + 4 * x, sizeof pixel);
      rgb.pixels.push_back(pixel & 0xFFFFFF);
    }
  }
  return rgb;
}

// Pixels, of a thousand, whose colour is clearly another one.
double differing(const Rgb& a, const Rgb& b) {
  constexpr int kTolerance = 24;
  if (a.width != b.width || a.height != b.height) return 1000;
  size_t count = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    for (const int shift : {0, 8, 16}) {
      const int from = static_cast<int>(a.pixels[i] >> shift & 0xFF);
      const int to = static_cast<int>(b.pixels[i] >> shift & 0xFF);
      if (std::abs(from - to) > kTolerance) {
        ++count;
        break;
      }
    }
  }
  return 1000.0 * static_cast<double>(count) / static_cast<double>(a.pixels.size());
}

struct Drawing {
  const char* name;
  uint32_t width;
  uint32_t height;
  Overlay overlay;
  // Of a thousand pixels. Letters differ a little from one version of the font to the next.
  double allowed;
};

// Everything with a shape, without letters.
Overlay figures(float scale) {
  const auto at = [scale](std::vector<float> xy) {
    for (float& value : xy) value *= scale;
    return xy;
  };
  return {.lines = {{.xy = at({20, 200, 100, 150, 140, 170, 220, 90}), .color = 0xFF8000},
                    {.xy = at({300, 20, 180, 60}), .color = 0xFFFFFF},
                    {.xy = at({190, 50, 180, 60, 193, 63}), .color = 0xFFFFFF},
                    {.xy = at({10, 10, 110, 10, 60, 60, 10, 10}), .color = 0x00C8FF}},
          .points = {{.xy = at({250, 150, 270, 170}), .color = 0xFF00FF}},
          .boxes = {{40 * scale, 80 * scale, 60 * scale, 90 * scale, "", 0x57D957},
                    {52 * scale, 90 * scale, 30 * scale, 30 * scale, "", 0x57D957, true}}};
}

std::vector<Drawing> drawings() {
  Overlay thick = figures(1);
  thick.line_width = 7;
  const Overlay words{.boxes = {{40, 80, 60, 90, "person #3 87 %", 0x57D957},
                                {60, 90, 90, 100, "car 55 % · red 91 %", 0x3FA9F5}},
                      .texts = {{320, 0, "2026-05-04 13:07:59 UTC", 0x202020},
                                {0, 0, "North gate", 0x202020},
                                {200, 200, "stop line", 0xFF8000}}};
  const auto hidden = [](With with) {
    return Overlay{.concealed = {{40, 80, 60, 90, with}, {200, -10, 44, 60, with}}};
  };
  return {{"figures", 320, 240, figures(1), 1},
          {"figures_small", 64, 48, figures(0.2F), 1},
          {"figures_thick", 320, 240, thick, 1},
          {"words", 320, 240, words, 12},
          {"blurred", 320, 240, hidden(With::kBlur), 0.5},
          {"filled", 320, 240, hidden(With::kFill), 0.5}};
}

Rgb drawn(const Drawing& drawing, PixelFormat format) {
  static LabelCache labels;
  Picture picture = scene(drawing.width, drawing.height, format);
  draw_overlay(picture.frame, drawing.overlay, labels);
  CHECK(picture.padding_untouched());
  return to_rgb(picture);
}

// As far as a test must see at once: a step to the side, and another colour.
Overlay shifted(Overlay overlay) {
  for (OverlayLine& line : overlay.lines) {
    for (size_t i = 0; i < line.xy.size(); i += 2) line.xy[i] += 2;
  }
  for (OverlayBox& box : overlay.boxes) box.x += 2;
  for (OverlayText& text : overlay.texts) text.y += 2;
  for (OverlayConcealed& area : overlay.concealed) area.y += 2;
  return overlay;
}

Overlay recolored(Overlay overlay) {
  for (OverlayLine& line : overlay.lines) line.color ^= 0x404040;
  for (OverlayBox& box : overlay.boxes) box.color ^= 0x404040;
  for (OverlayText& text : overlay.texts) text.color ^= 0x404040;
  for (OverlayConcealed& area : overlay.concealed) {
    area.with = area.with == With::kBlur ? With::kFill : With::kBlur;
  }
  return overlay;
}

TEST("pictures are as their references, in both formats") {
  for (const Drawing& drawing : drawings()) {
    const Rgb reference = read_png(folder() / (std::string(drawing.name) + ".png"));
    for (const auto format : {PixelFormat::kI420, PixelFormat::kNv12}) {
      const double off = differing(drawn(drawing, format), reference);
      if (off > drawing.allowed) {
        throw Failure(std::string(drawing.name) + ": " + std::to_string(off) +
                      " of 1000 pixels are not as in the reference");
      }
    }
  }
}

TEST("a reference does not fit what is shifted or has another colour") {
  for (const Drawing& drawing : drawings()) {
    const Rgb reference = read_png(folder() / (std::string(drawing.name) + ".png"));
    for (const auto& change : {&shifted, &recolored}) {
      Drawing changed = drawing;
      changed.overlay = change(drawing.overlay);
      const double off = differing(drawn(changed, PixelFormat::kNv12), reference);
      if (off <= 2 * drawing.allowed) {
        throw Failure(std::string(drawing.name) + ": only " + std::to_string(off) + " of 1000");
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string_view(arguments[1]) == "--write") {
    for (const Drawing& drawing : drawings()) {
      write_png(drawn(drawing, PixelFormat::kI420),
                folder() / (std::string(drawing.name) + ".png"));
    }
    return 0;
  }
  return framebus::test::run_all();
}
