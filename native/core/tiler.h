// Many outputs in one picture.
#pragma once

#include <gst/video/video.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gst_ptr.h"
#include "label.h"
#include "output.h"
#include "picture_pool.h"
#include "tile.h"

namespace framebus {

// Fields as in contract.ts.
struct TilerOptions {
  uint32_t fps = 10;
  uint32_t columns = 0;      // 0: as many as make the pictures largest.
  uint32_t stale_ms = 3000;  // A picture that is older is missing.
};

// Takes the latest drawn, and thereby concealed, pictures of outputs, scales those that are
// new, and pushes the whole into an output of its own, at a rate of its own. Thread-safe.
class Tiler {
 public:
  // Throws Error BAD_OPTIONS: a rate of 0, or an output of full range.
  Tiler(std::shared_ptr<Output> output, TilerOptions options);
  ~Tiler();
  Tiler(const Tiler&) = delete;
  Tiler& operator=(const Tiler&) = delete;

  // Shows the pictures of an output in the cell of that name, which is added at the end when
  // there is none. Null: it has no output now.
  void show(const std::string& name, std::shared_ptr<Output> source);

  // Pictures left out so far, because tiling or encoding did not keep up.
  uint64_t skipped() const { return skipped_; }

  // Ends the thread, which pushes nothing more. Idempotent.
  void close();

 private:
  struct Member {
    std::string name;
    std::shared_ptr<Output> source;  // Null: none now.
  };

  void run(const std::stop_token& stop);
  void push_picture();
  bool adopt();

  // Given.
  const std::shared_ptr<Output> output_;
  const TilerOptions options_;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Member> members_;

  std::atomic<uint64_t> skipped_ = 0;

  // Used by the thread alone.
  std::vector<Tile> tiles_;
  LabelCache labels_;
  uint64_t next_seq_ = 0;

  PicturePool pool_;
  const GstPtr<GstBuffer> whole_;  // What is painted on; the output gets copies.
  std::mutex close_mutex_;
  std::jthread thread_;
};

}  // namespace framebus
