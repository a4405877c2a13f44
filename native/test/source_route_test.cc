// Groups and modes of a source that change while it plays.
#include <string>

#include "check.h"
#include "core/error.h"
#include "source_clip.h"
#include "source_player.h"

using namespace framebus;
using namespace framebus::test;

namespace {

std::string error_of(Source& source, const RouteGroup& group) {
  try {
    source.open_group(group);
  } catch (const Error& error) {
    return std::string(error.code()) + " " + error.what();
  }
  return "";
}

}  // namespace

TEST("a group that is opened before there is a pool is on its route, if it fits") {
  Player player(fast_file(h264_mp4()), nullptr, true);
  CHECK(error_of(player.source(), {"tap", 4}) ==
        "BUS_ADMISSION pool of stream 'test': 4 slots may be held, group infer has 1; 3 are left, "
        "group tap needs 4; raise slots of the stream, or lower hold");
  CHECK(error_of(player.source(), {"tap", 2}).empty());
  player.source().open_group({"gone", 1});
  player.source().close_group("gone");
  player.start();
  CHECK(player.wait([&] { return player.frames.size() >= 2; }));
  const FrameEvent first = player.taken().front();
  const auto of = [&](const char* group) {
    return player.source().delivery(first.epoch, first.slot, first.generation, group);
  };
  CHECK(of("tap") == Delivery::kNone && of("infer") == Delivery::kNone);
  CHECK(of("gone") == Delivery::kGone);
  // With all slots pending for the tap, closing it is what lets the file go on.
  for (const FrameEvent& frame : player.taken()) player.give_back(frame);
  player.source().close_group("tap");
  const size_t seen = player.taken().size();
  for (int i = 0; i < 20 && !player.ended; ++i) {
    for (const FrameEvent& frame : player.taken()) player.give_back(frame);
    player.wait([&] { return player.ended; }, 1);
  }
  CHECK(player.ended && player.frames.size() > seen && player.frames.size() == 90);
}

TEST("a full pool pauses a file, until frames may be dropped") {
  Player player(fast_file(h264_mp4()), nullptr, true);
  player.start();
  CHECK(player.wait([&] { return player.source().stats().slots_published > 0; }));
  CHECK(!player.wait([&] { return player.ended || !player.drops.empty(); }, 1));
  const size_t paused_at = player.taken().size();
  player.source().set_mode(SourceMode::kLatest);
  CHECK(player.wait_over());
  CHECK(player.ended && player.errors.empty());
  CHECK(player.frames.size() > paused_at && player.frames.size() + player.drops.size() == 90);
}

TEST("a file that drops frames drops none from the moment it is lossless") {
  SourceOptions options = fast_file(h264_mp4());
  options.mode = SourceMode::kLatest;
  Player player(options);
  player.source().set_mode(SourceMode::kLossless);
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.drops.empty() && player.frames.size() == 90);
}

int main() { return framebus::test::run_all(); }
