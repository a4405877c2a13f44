// Label texts as coverage masks, rendered once and kept.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace framebus {

// A text with its margins: coverage 0-255 for each pixel of its plate. Width
// and height are even; `half` is the same at half size, for 4:2:0 chroma.
struct LabelMask {
  uint32_t width = 0;
  uint32_t height = 0;
  std::vector<uint8_t> full;  // width x height.
  std::vector<uint8_t> half;  // width/2 x height/2.
};

// Renders texts through pango and keeps those used last. Thread-safe; one
// cache serves all outputs of a process.
class LabelCache {
 public:
  // `capacity_bytes` bounds the masks kept.
  explicit LabelCache(size_t capacity_bytes = size_t{16} << 20);
  ~LabelCache();
  LabelCache(const LabelCache&) = delete;
  LabelCache& operator=(const LabelCache&) = delete;

  // Text in UTF-8 (invalid bytes show as U+FFFD), in one line, cut with an
  // ellipsis where its plate would be wider than `max_width`. Null for an
  // empty text.
  std::shared_ptr<const LabelMask> mask(const std::string& text, uint32_t font_px,
                                        uint32_t max_width);

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const LabelMask> mask;
    size_t bytes() const { return key.size() + mask->full.size() + mask->half.size(); }
  };
  class Renderer;

  void evict();

  const size_t capacity_bytes_;
  std::mutex mutex_;
  std::unique_ptr<Renderer> renderer_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;  // Used last: front.
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace framebus
