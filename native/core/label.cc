#include "label.h"

#include <pango/pangocairo.h>

#include <algorithm>

namespace framebus {
namespace {

struct Unref {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
  void operator()(PangoFontMap* map) const { g_object_unref(map); }
  void operator()(PangoContext* context) const { g_object_unref(context); }
  void operator()(PangoLayout* layout) const { g_object_unref(layout); }
  void operator()(PangoFontDescription* font) const { pango_font_description_free(font); }
  void operator()(cairo_font_options_t* options) const { cairo_font_options_destroy(options); }
  void operator()(gchar* text) const { g_free(text); }
};
template <class T>
using Owned = std::unique_ptr<T, Unref>;

constexpr size_t kMaxTextBytes = 1024;  // Far more than any picture is wide.

uint32_t even_up(int value) { return (static_cast<uint32_t>(std::max(value, 1)) + 1) & ~1U; }

// Mean of each 2 x 2 block.
std::vector<uint8_t> halve(const std::vector<uint8_t>& full, uint32_t width, uint32_t height) {
  std::vector<uint8_t> half(size_t{width / 2} * (height / 2));
  for (size_t y = 0; y < height / 2; ++y) {
    const uint8_t* top = &full[2 * y * width];
    const uint8_t* bottom = top + width;
    uint8_t* out = &half[y * (width / 2)];
    for (size_t x = 0; x < width / 2; ++x) {
      const int sum = top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1];
      out[x] = static_cast<uint8_t>((sum + 2) / 4);
    }
  }
  return half;
}

}  // namespace

// Pango's objects are not for several threads at once: used under the cache's mutex.
class LabelCache::Renderer {
 public:
  Renderer()
      : map_(pango_cairo_font_map_new()), context_(pango_font_map_create_context(map_.get())) {
    const Owned<cairo_font_options_t> options(cairo_font_options_create());
    cairo_font_options_set_antialias(options.get(), CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options.get(), CAIRO_HINT_STYLE_SLIGHT);
    pango_cairo_context_set_font_options(context_.get(), options.get());
  }

  LabelMask render(const std::string& text, uint32_t font_px, uint32_t max_width) {
    const int margin_x = static_cast<int>(font_px * 2 / 5);
    const int margin_y = static_cast<int>(font_px / 8 + 1);
    const Owned<PangoLayout> layout = lay_out(text, font_px);
    const int text_limit = std::max(static_cast<int>(max_width & ~1U) - 2 * margin_x, 1);
    PangoRectangle logical;
    pango_layout_get_pixel_extents(layout.get(), nullptr, &logical);
    if (logical.width > text_limit) {
      pango_layout_set_width(layout.get(), text_limit * PANGO_SCALE);
      pango_layout_set_ellipsize(layout.get(), PANGO_ELLIPSIZE_END);
      pango_layout_get_pixel_extents(layout.get(), nullptr, &logical);
    }
    LabelMask mask;
    // A plate too narrow even for the ellipsis cuts it.
    mask.width = even_up(std::min(logical.width, text_limit) + 2 * margin_x);
    mask.height = even_up(logical.height + 2 * margin_y);
    paint(layout.get(), margin_x - logical.x, margin_y - logical.y, mask);
    mask.half = halve(mask.full, mask.width, mask.height);
    return mask;
  }

 private:
  Owned<PangoLayout> lay_out(const std::string& text, uint32_t font_px) {
    const Owned<gchar> valid(
        g_utf8_make_valid(text.data(), static_cast<gssize>(std::min(text.size(), kMaxTextBytes))));
    const Owned<PangoFontDescription> font(
        pango_font_description_from_string("DejaVu Sans,sans-serif Bold"));
    pango_font_description_set_absolute_size(font.get(),
                                             static_cast<double>(font_px) * PANGO_SCALE);
    Owned<PangoLayout> layout(pango_layout_new(context_.get()));
    pango_layout_set_font_description(layout.get(), font.get());
    pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
    pango_layout_set_text(layout.get(), valid.get(), -1);
    return layout;
  }

  static void paint(PangoLayout* layout, int x, int y, LabelMask& mask) {
    const int width = static_cast<int>(mask.width);
    const int height = static_cast<int>(mask.height);
    const Owned<cairo_surface_t> surface(
        cairo_image_surface_create(CAIRO_FORMAT_A8, width, height));
    {
      const Owned<cairo_t> cairo(cairo_create(surface.get()));
      cairo_move_to(cairo.get(), x, y);
      pango_cairo_show_layout(cairo.get(), layout);
    }
    cairo_surface_flush(surface.get());
    mask.full.resize(size_t{mask.width} * mask.height);
    const uint8_t* pixels = cairo_image_surface_get_data(surface.get());
    if (pixels == nullptr) return;  // Out of memory: an empty plate.
    const int stride = cairo_image_surface_get_stride(surface.get());
    for (int row = 0; row < height; ++row) {
      std::copy_n(pixels + ptrdiff_t{row} * stride, width,
                  &mask.full[size_t{mask.width} * static_cast<size_t>(row)]);
    }
  }

  Owned<PangoFontMap> map_;
  Owned<PangoContext> context_;
};

LabelCache::LabelCache(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}
LabelCache::~LabelCache() = default;

std::shared_ptr<const LabelMask> LabelCache::mask(const std::string& text, uint32_t font_px,
                                                  uint32_t max_width) {
  if (text.empty() || font_px == 0 || max_width == 0) return nullptr;
  const std::string key = std::to_string(font_px) + ' ' + std::to_string(max_width) + ' ' + text;
  const std::lock_guard lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->mask;
  }
  // Made on first use: opening the fonts takes a while.
  if (!renderer_) renderer_ = std::make_unique<Renderer>();
  entries_.push_front(
      {key, std::make_shared<const LabelMask>(renderer_->render(text, font_px, max_width))});
  by_key_[key] = entries_.begin();
  bytes_ += entries_.front().bytes();
  evict();
  return entries_.front().mask;
}

void LabelCache::evict() {
  while (bytes_ > capacity_bytes_ && entries_.size() > 1) {
    bytes_ -= entries_.back().bytes();
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace framebus
