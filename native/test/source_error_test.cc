// Sources that do not play, or not to their end: one clear error, never a hang.
#include "core/source_error.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "core/frame_clock.h"
#include "core/video_caps.h"
#include "test/check.h"
#include "test/source_clip.h"
#include "test/source_player.h"

namespace framebus::test {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Listens and never says a word.
class SilentServer {
 public:
  SilentServer() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, any, size) != 0 || ::listen(socket_, 8) != 0 ||
        ::getsockname(socket_, any, &size) != 0)
      throw std::runtime_error("no silent server");
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() { ::close(socket_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  std::string at(const std::string& scheme) const {
    return scheme + "://127.0.0.1:" + std::to_string(port_) + "/stream";
  }

 private:
  int socket_;
  int port_ = 0;
};

ErrorEvent error_of(const SourceOptions& options) {
  Player player(options);
  player.start();
  CHECK(player.wait_over());
  std::this_thread::sleep_for(milliseconds(150));
  player.source().stop();
  CHECK(player.errors.size() == 1);
  CHECK(!player.ended && player.frames.empty());
  return player.errors[0];
}

void check_error(const std::string& uri, const std::string& code, bool retryable) {
  const ErrorEvent error = error_of(fast_file(uri));
  const std::string name = uri.starts_with("file://") ? uri.substr(7) : redact_uri(uri);
  const bool right = error.code == code && error.retryable == retryable &&
                     error.message.find(name) != std::string::npos;
  if (!right) throw Failure(uri + " gave " + error.code + ": " + error.message);
}

std::string made_file(const std::string& name, const std::string& bytes) {
  const auto path = clip_folder() / name;
  write_file(path, bytes);
  return path.string();
}

TEST("what is not there, not readable or not a video is said so") {
  check_error("/no/such/file.mp4", "SOURCE_NOT_FOUND", false);
  check_error("file:///no/such/file.mp4", "SOURCE_NOT_FOUND", false);
  check_error(clip_folder().string(), "SOURCE_UNSUPPORTED", false);
  check_error(made_file("empty.mp4", ""), "SOURCE_UNSUPPORTED", false);
  check_error(made_file("text.mp4", "this is not a video\n"), "SOURCE_UNSUPPORTED", false);
  check_error("nonsense://host/path", "SOURCE_UNSUPPORTED", false);
  check_error("v4l2:///dev/video-none", "SOURCE_NOT_FOUND", true);
  const std::string fifo = (clip_folder() / "fifo").string();
  ::mkfifo(fifo.c_str(), 0600);
  check_error(fifo, "SOURCE_UNSUPPORTED", false);
  const std::string sound = (clip_folder() / "sound.wav").string();
  run_pipeline("audiotestsrc num-buffers=20 ! wavenc ! filesink location=" + sound);
  check_error(sound, "SOURCE_UNSUPPORTED", false);
  if (::geteuid() != 0) {
    const std::string locked = made_file("locked.mp4", "x");
    ::chmod(locked.c_str(), 0);
    check_error(locked, "SOURCE_UNREADABLE", false);
  }
}

TEST("a pool that cannot be made is an error of its own") {
  SourceOptions options = fast_file(h264_mp4());
  options.slots = 5000;
  const ErrorEvent error = error_of(options);
  CHECK(error.code == "BAD_OPTIONS" && !error.retryable);
}

TEST("a missing decoder is named") {
  const std::string path = clip("theora.ogv", 64, 48, 5, "theoraenc ! oggmux");
  GstPluginFeature* decoder = gst_registry_lookup_feature(gst_registry_get(), "theoradec");
  CHECK(decoder != nullptr);
  const guint rank = gst_plugin_feature_get_rank(decoder);
  gst_plugin_feature_set_rank(decoder, GST_RANK_NONE);
  const ErrorEvent error = error_of(fast_file(path));
  gst_plugin_feature_set_rank(decoder, rank);
  gst_object_unref(decoder);
  CHECK(error.code == "SOURCE_UNSUPPORTED" && !error.retryable);
  CHECK(error.message.find("heora") != std::string::npos);
}

TEST("a server that is not there can be tried again") {
  check_error("rtsp://user:secret@127.0.0.1:1/cam", "SOURCE_UNREACHABLE", true);
  check_error("http://127.0.0.1:1/clip.mp4", "SOURCE_UNREACHABLE", true);
}

TEST("a server that never answers times out, and stopping does not wait for it") {
  const SilentServer server;
  for (const char* scheme : {"rtsp", "http"}) {
    SourceOptions options = fast_file(server.at(scheme));
    options.start_timeout_ms = 700;
    const ErrorEvent error = error_of(options);
    CHECK(error.code == "SOURCE_UNREACHABLE" && error.retryable);
    Player player(fast_file(server.at(scheme)));
    player.start();
    std::this_thread::sleep_for(milliseconds(300));
    const auto before = Clock::now();
    player.source().stop();
    CHECK(Clock::now() - before < milliseconds(2000));
    CHECK(player.errors.empty());
  }
}

TEST("a file that breaks off plays up to there, with a warning") {
  const std::string whole = read_file(h264_mp4(322, 182, 300));
  Player player(fast_file(made_file("half.mp4", whole.substr(0, whole.size() / 2))));
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.errors.empty());
  CHECK(player.frames.size() > 20 && player.frames.size() < 290);
  CHECK(!player.warnings.empty());
  CHECK(player.warnings[0].code == "SOURCE_BROKEN");
}

TEST("pictures that cannot be decoded are reported, and the rest plays") {
  std::string bytes = read_file(h264_mp4(322, 182, 300));
  for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + bytes.size() / 20; ++i)
    bytes[i] = '\xff';
  Player player(fast_file(made_file("scratched.mp4", bytes)));
  player.start();
  CHECK(player.wait_over());
  CHECK(player.ended && player.errors.empty());
  CHECK(player.frames.size() > 200 && player.frames.size() < 300);
  CHECK(!player.warnings.empty());
}

TEST("only the head of a file is an error") {
  const std::string whole = read_file(clip("head.avi", 160, 120, 30, "jpegenc ! avimux"));
  check_error(made_file("head-only.avi", whole.substr(0, 200)), "SOURCE_BROKEN", false);
}

TEST("credentials never show") {
  CHECK(redact_uri("rtsp://user:pa@ss@host:554/a") == "rtsp://***@host:554/a");
  CHECK(redact_uri("cannot open http://u:p@h/x and rtsp://v:q@i/y") ==
        "cannot open http://***@h/x and rtsp://***@i/y");
  CHECK(redact_uri("rtsp://host/a@b") == "rtsp://host/a@b");
  CHECK(redact_uri("/plain/path@x") == "/plain/path@x");
  const ErrorEvent error = error_of(fast_file("rtsp://user:secret@127.0.0.1:1/cam"));
  CHECK(error.message.find("secret") == std::string::npos);
}

TEST("the clock rises over loops, jumps and missing times") {
  constexpr uint64_t kMs = 1'000'000;
  FrameClock clock;
  CHECK(clock.next(5000 * kMs, 40 * kMs, 0) == 0);
  CHECK(clock.next(5040 * kMs, 40 * kMs, 0) == 40 * kMs);
  CHECK(clock.next(std::nullopt, 40 * kMs, 0) == 80 * kMs);
  CHECK(clock.next(5040 * kMs, 40 * kMs, 0) == 80 * kMs + 1);  // A little back: never equal.
  clock.begin_pass();
  CHECK(clock.next(0, 40 * kMs, 0) == 120 * kMs + 1);
  CHECK(clock.next(40 * kMs, 40 * kMs, 0) == 160 * kMs + 1);
  CHECK(clock.next(9000 * kMs, 40 * kMs, 0) == 9120 * kMs + 1);  // A gap is a gap.
  CHECK(clock.next(10 * kMs, 40 * kMs, 0) == 9160 * kMs + 1);    // Started anew.
  FrameClock silent;
  CHECK(silent.next(std::nullopt, std::nullopt, 20 * kMs) == 0);
  CHECK(silent.next(std::nullopt, std::nullopt, 20 * kMs) == 20 * kMs);
}

TEST("a late player starts counting anew instead of hurrying") {
  constexpr uint64_t kMs = 1'000'000;
  FrameClock clock;
  CHECK(clock.due(0, 1000 * kMs) == 1000 * kMs);
  CHECK(clock.due(40 * kMs, 1010 * kMs) == 1040 * kMs);
  CHECK(clock.due(80 * kMs, 1100 * kMs) == 1080 * kMs);
  CHECK(clock.due(120 * kMs, 9000 * kMs) == 9000 * kMs);
  CHECK(clock.due(160 * kMs, 9001 * kMs) == 9040 * kMs);
}

TEST("what a decoder keeps follows from codec, level and size") {
  const auto frames = [](const char* text, uint32_t threads) {
    const GstPtr<GstCaps> caps(gst_caps_from_string(text));
    return decoder_frames(caps.get(), threads);
  };
  CHECK(frames("video/x-h264, level=(string)4, width=1920, height=1080", 2) == 4 + 4 + 2);
  CHECK(frames("video/x-h264, level=(string)4, width=320, height=240", 0) == 16 + 2);
  CHECK(frames("video/x-h264, width=1920, height=1080", 1) == 16 + 1 + 2);
  CHECK(frames("video/x-h265, level=(string)4, width=1920, height=1080", 4) == 6 + 8 + 2);
  CHECK(frames("video/x-vp9, width=1920, height=1080", 2) == 8 + 4 + 2);
  CHECK(frames("image/jpeg", 0) == 2);
}

TEST("the test videos give as many frames as ffmpeg decodes") {
  const auto videos = test_videos();
  if (!videos) {
    std::printf("# skipped: FRAMEBUS_TEST_DATA is not set\n");
    return;
  }
  // ffmpeg -vsync passthrough; PROBE.txt has what is left of cursed-vfr at a constant rate.
  const std::vector<std::pair<std::string, size_t>> counts{
      {"decord_corrupted.mp4", 49},
      {"exo_portrait_4k60.mp4", 18},
      {"exo_sample.mkv", 30},
      {"exo_sample_av1.mp4", 30},
      {"exo_sample_fragmented.mp4", 30},
      {"exo_sample_h264_no_access_unit_delimiters.ts", 3},
      {"exo_sample_h265.ts", 30},
      {"gen_interlaced_mpeg2.ts", 150},
      {"gen_pts_wrap.ts", 125},
      {"gen_truncated_mp4.mp4", 180},
      {"mediabunny_cursed-vfr.mp4", 63},
      {"mediabunny_edts.mp4", 225},
      {"mediabunny_no-initial-keyframe.ts", 15},
      {"mediabunny_rotate-buck-bunny.mp4", 45},
      {"mediabunny_sar_2x1.mp4", 150},
      {"mediamtx_offline_vp9.mp4", 30},
      {"torchcodec_h264_10bits.mp4", 30},
      {"vpf_test_res_change.h264", 96}};
  for (const auto& [name, count] : counts) {
    Player player(fast_file((*videos / "robust" / name).string()));
    player.start();
    CHECK(player.wait_over());
    if (player.frames.size() != count || !player.ended)
      throw Failure(name + ": " + std::to_string(player.frames.size()) + " frames, not " +
                    std::to_string(count));
  }
  check_error((*videos / "robust" / "muxjs_test-stuffed-pes.ts").string(), "SOURCE_UNSUPPORTED",
              false);
}

}  // namespace
}  // namespace framebus::test

int main() { return framebus::test::run_all(); }
