// Tiler: cells show what the outputs show, in shape and colour, and never something old.
#include "core/tiler.h"

#include <cmath>

#include "check.h"
#include "output_kit.h"

namespace {

using namespace framebus;
using namespace framebus::test;

constexpr uint32_t kWidth = 320;
constexpr uint32_t kHeight = 240;

// A frame of one colour.
class PlainLease : public Lease {
 public:
  PlainLease(const FrameFormat& format, const Yuv& color)
      : format_(format), layout_(tight_layout(format)) {
    bytes_.assign(layout_.slot_bytes, color.y);
    for (uint32_t plane = 1; plane < plane_count(format.pixel_format); ++plane) {
      for (uint32_t y = 0; y < plane_rows(format, plane); ++y) {
        uint8_t* row = bytes_.data() + layout_.offset[plane] + size_t{layout_.stride[plane]} * y;
        const bool nv12 = format.pixel_format == PixelFormat::kNv12;
        for (uint32_t x = 0; x < plane_row_bytes(format, plane); ++x)
          row[x] = (nv12 ? x % 2 == 1 : plane == 2) ? color.v : color.u;
      }
    }
  }
  const FrameFormat& format() const override { return format_; }
  FrameRead read() const override { return FrameRead(view_of(format_, layout_, bytes_.data())); }
  bool valid() const override { return true; }

 private:
  const FrameFormat format_;
  const PlaneLayout layout_;
  std::vector<uint8_t> bytes_;
};

// Pixels of a tiled picture.
class Seen {
 public:
  explicit Seen(const Output& output) {
    const auto latest = output.latest();
    if (!latest) return;
    const PictureMap map(latest->buffer.get(), output.picture_format(), GST_MAP_READ);
    const FrameView view = map.view();
    for (uint32_t plane = 0; plane < kMaxPlanes; ++plane) {
      stride_[plane] = view.stride[plane];
      planes_[plane].assign(
          view.data[plane],
          view.data[plane] + size_t{view.stride[plane]} * plane_rows(view.format, plane));
    }
  }
  Yuv at(uint32_t x, uint32_t y) const {
    if (planes_[0].empty()) return {};
    const size_t chroma = size_t{y / 2} * stride_[1] + x / 2;
    return {planes_[0][size_t{y} * stride_[0] + x], planes_[1][chroma], planes_[2][chroma]};
  }
  // Luma of at least `level` in a part: there is a text.
  bool text_in(uint32_t left, uint32_t top, uint32_t right, uint32_t bottom) const {
    for (uint32_t y = top; y < bottom; ++y) {
      for (uint32_t x = left; x < right; ++x)
        if (at(x, y).y > 180) return true;
    }
    return false;
  }

 private:
  std::array<std::vector<uint8_t>, kMaxPlanes> planes_;
  std::array<uint32_t, kMaxPlanes> stride_{};
};

bool close_to(const Yuv& seen, const Yuv& wanted) {
  const auto near = [](uint8_t a, uint8_t b) { return std::abs(int{a} - int{b}) <= 3; };
  return near(seen.y, wanted.y) && near(seen.u, wanted.u) && near(seen.v, wanted.v);
}

template <class Ask>
bool within_20_s(Ask ask) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!ask()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

std::shared_ptr<Output> output_of(const FrameFormat& format) {
  return std::make_shared<Output>(output_options(format), std::make_shared<RecordingListener>());
}

void push_plain(Output& output, const Yuv& color, uint64_t seq = 0, const Overlay& overlay = {}) {
  const auto lease = std::make_shared<PlainLease>(output.options().format, color);
  while (output.push(lease, seq, static_cast<int64_t>(seq) * 40'000'000, overlay) ==
         Output::Push::kFull)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

// A wall of two cells beside each other, unless told, of pictures that last long.
struct Wall {
  explicit Wall(TilerOptions options = {.fps = 20, .columns = 2, .stale_ms = 60'000})
      : listener(std::make_shared<RecordingListener>()),
        output(std::make_shared<Output>(
            output_options(format_of(kWidth, kHeight, PixelFormat::kI420, 20)), listener)),
        tiler(std::make_unique<Tiler>(output, options)) {}
  // Waits until a pixel has a colour.
  bool shows(uint32_t x, uint32_t y, const Yuv& color) const {
    return within_20_s([&] { return close_to(Seen(*output).at(x, y), color); });
  }
  std::shared_ptr<RecordingListener> listener;
  std::shared_ptr<Output> output;
  std::unique_ptr<Tiler> tiler;
};

constexpr Yuv kBlack{16, 128, 128};
constexpr Yuv kRed{81, 90, 240};
constexpr Yuv kGreen{145, 54, 34};

TEST("cells are as large as pictures can be, on even pixels, and apart") {
  CHECK(TileGrid(1, 0, 1280, 720).columns() == 1);
  CHECK(TileGrid(2, 0, 1280, 720).columns() == 2);
  CHECK(TileGrid(5, 0, 1280, 720).columns() == 3);
  CHECK(TileGrid(4, 0, 1280, 720).columns() == 2);
  CHECK(TileGrid(9, 0, 1280, 720).columns() == 3);
  CHECK(TileGrid(3, 0, 1920, 360).columns() == 3);
  CHECK(TileGrid(7, 5, 1280, 720).rows() == 2);
  const TileGrid grid(9, 0, 1280, 720);
  const PixelRect last = grid.place(8);
  CHECK(last.left == 852 && last.top == 480 && last.right == 1276 && last.bottom == 718);
  CHECK(TileGrid(5000, 0, 64, 64).place(0).width() == 0);
  CHECK(TileGrid(0, 0, 1280, 720).columns() == 1);
}

TEST("pictures keep their shape, that of their pixels too") {
  const PixelRect place{100, 50, 260, 170};
  const PixelRect wide = letterboxed(place, format_of(1600, 600));
  CHECK(wide.left == 100 && wide.width() == 160 && wide.height() == 60 && wide.top == 80);
  const PixelRect tall = letterboxed(place, format_of(300, 600));
  CHECK(tall.height() == 120 && tall.width() == 60 && tall.left == 150 && tall.top == 50);
  FrameFormat squeezed = format_of(720, 576);
  squeezed.pixel_aspect_numerator = 64;
  squeezed.pixel_aspect_denominator = 45;  // 16:9.
  CHECK(letterboxed(place, squeezed).height() == 90);
  CHECK(letterboxed(place, format_of(10'000, 2)).height() == 2);
}

TEST("each cell shows its output, in its shape, with its name") {
  const Wall wall;
  const auto wide = output_of(format_of(640, 320));
  const auto tall = output_of(format_of(90, 180, PixelFormat::kNv12));
  wall.tiler->show("left", wide);
  wall.tiler->show("right", tall);
  push_plain(*wide, kRed);
  push_plain(*tall, kGreen);
  // Cells of 158 x 240: the wide picture takes 158 x 78 of its, the tall one 120 x 240.
  CHECK(wall.shows(79, 120, kRed));
  CHECK(wall.shows(160 + 79, 120, kGreen));
  const Seen seen(*wall.output);
  CHECK(close_to(seen.at(4, 90), kRed) && close_to(seen.at(150, 150), kRed));
  CHECK(close_to(seen.at(79, 70), kBlack) && close_to(seen.at(79, 170), kBlack));
  CHECK(close_to(seen.at(160 + 79, 10), kGreen) && close_to(seen.at(160 + 6, 120), kBlack));
  CHECK(close_to(seen.at(159, 120), kBlack));  // Between the cells.
  CHECK(seen.text_in(0, 224, 60, 240) && seen.text_in(160, 224, 220, 240));
  CHECK(!seen.text_in(60, 110, 100, 130));
  CHECK(wall.listener->wait_encoded(1));
  CHECK(wall.listener->errors().empty());
}

TEST("colours are right, whatever matrix and range a stream has") {
  const Wall wall({.fps = 20, .columns = 4, .stale_ms = 60'000});
  std::vector<std::shared_ptr<Output>> outputs;
  // The same red by BT.601 and BT.709, in limited and full range.
  const std::array<Yuv, 4> reds{{{81, 90, 240}, {63, 102, 240}, {76, 85, 255}, {54, 99, 255}}};
  for (uint32_t i = 0; i < 4; ++i) {
    for (const PixelFormat pixels : {PixelFormat::kI420, PixelFormat::kNv12}) {
      FrameFormat format = format_of(160, 90, pixels);
      format.matrix = i % 2 == 0 ? ColorMatrix::kBt601 : ColorMatrix::kBt709;
      format.range = i < 2 ? ColorRange::kLimited : ColorRange::kFull;
      outputs.push_back(output_of(format));
      push_plain(*outputs.back(), reds[i]);
      wall.tiler->show(std::to_string(outputs.size()), outputs.back());
    }
  }
  for (uint32_t i = 0; i < 8; ++i) CHECK(wall.shows(i % 4 * 80 + 39, i / 4 * 120 + 59, kRed));
}

TEST("only what was drawn, and concealed, is taken") {
  const Wall wall;
  const auto output = output_of(format_of(320, 480));
  wall.tiler->show("gate", output);
  Overlay overlay;
  overlay.concealed.push_back(
      {.x = 0, .y = 0, .width = 320, .height = 240, .with = OverlayConcealed::With::kFill});
  push_plain(*output, kRed, 0, overlay);
  CHECK(wall.shows(79, 160, kRed));
  CHECK(close_to(Seen(*wall.output).at(79, 60), kBlack));
}

TEST("a picture that grows old is dark, and said to be missing, until a new one comes") {
  const Wall wall({.fps = 20, .columns = 2, .stale_ms = 300});
  const auto output = output_of(format_of(320, 480));
  wall.tiler->show("gate", output);
  wall.tiler->show("yard", nullptr);
  uint64_t seq = 0;
  const auto lit = [&] {
    push_plain(*output, kRed, seq++);
    return close_to(Seen(*wall.output).at(10, 10), kRed);
  };
  const auto dark = [&] { return Seen(*wall.output).at(10, 10).y < 40; };
  CHECK(within_20_s(lit));
  CHECK(within_20_s(dark));
  const Seen seen(*wall.output);
  CHECK(seen.text_in(40, 110, 120, 130));   // "no picture".
  CHECK(seen.text_in(200, 110, 280, 130));  // The other one never had any.
  CHECK(seen.text_in(0, 224, 60, 240) && seen.text_in(160, 224, 220, 240));
  CHECK(within_20_s(lit));
}

TEST("a slow stream is no missing one") {
  const Wall wall({.fps = 20, .columns = 1, .stale_ms = 100});
  FrameFormat format = format_of(320, 240, PixelFormat::kI420, 1);
  format.frame_rate_denominator = 20;
  const auto output = output_of(format);
  wall.tiler->show("gate", output);
  push_plain(*output, kRed);
  CHECK(wall.shows(20, 20, kRed));
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (std::chrono::steady_clock::now() < until)
    CHECK(close_to(Seen(*wall.output).at(20, 20), kRed));
}

TEST("another output, in another format, takes a cell over; the last picture stays until then") {
  const Wall wall;
  const auto first = output_of(format_of(320, 480));
  wall.tiler->show("gate", first);
  push_plain(*first, kRed);
  CHECK(wall.shows(79, 120, kRed));
  wall.tiler->show("gate", nullptr);
  first->close();
  const auto second = output_of(format_of(640, 320, PixelFormat::kNv12));
  wall.tiler->show("gate", second);
  const uint64_t now = wall.output->latest()->seq;
  CHECK(within_20_s([&] { return wall.output->latest()->seq > now + 2; }));
  CHECK(close_to(Seen(*wall.output).at(79, 120), kRed));
  push_plain(*second, kGreen);
  CHECK(wall.shows(79, 120, kGreen));
  CHECK(close_to(Seen(*wall.output).at(79, 20), kBlack));  // Nothing is left of the old shape.
}

TEST("one more stream is one more cell, and all move") {
  const Wall wall({.fps = 20, .columns = 0, .stale_ms = 60'000});
  const auto first = output_of(format_of(320, 240));
  const auto second = output_of(format_of(320, 240));
  wall.tiler->show("first", first);
  push_plain(*first, kRed);
  push_plain(*second, kGreen);
  CHECK(wall.shows(310, 20, kRed));
  for (const char* name : {"second", "third", "fourth"}) wall.tiler->show(name, second);
  CHECK(wall.shows(240, 20, kGreen));
  CHECK(wall.shows(240, 140, kGreen));
  CHECK(close_to(Seen(*wall.output).at(80, 20), kRed));
}

TEST("a wall without streams is black, and has pictures all the same") {
  const Wall wall;
  CHECK(wall.listener->wait_encoded(3));
  CHECK(close_to(Seen(*wall.output).at(100, 100), kBlack));
}

TEST("a closed output ends the tiler without complaint; one that fails is told") {
  Wall wall;
  CHECK(wall.listener->wait_encoded(1));
  wall.output->close();
  const uint64_t before = wall.output->latest()->seq;
  wall.tiler->close();
  wall.tiler->close();
  CHECK(wall.output->latest()->seq == before);
  CHECK(wall.listener->errors().empty());
  wall.output->fail(Error("ENCODER_FAILED", "tiles: test"));
  CHECK(wall.listener->errors() == std::vector<std::string>{"ENCODER_FAILED: tiles: test"});
}

}  // namespace

int main() { return framebus::test::run_all(); }
