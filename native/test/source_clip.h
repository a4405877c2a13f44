// Clips for source tests, made by GStreamer in a temporary folder.
#pragma once

#include <gst/gst.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/source_pipeline.h"

namespace framebus::test {

// A folder that goes with the process.
inline const std::filesystem::path& clip_folder() {
  struct Folder {
    std::filesystem::path path;
    Folder() {
      std::string name =
          (std::filesystem::temp_directory_path() / "framebus-clips-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
      path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  return folder.path;
}

// Runs a pipeline to its end.
inline void run_pipeline(const std::string& description) {
  prepare_decoders();
  GError* error = nullptr;
  const GstPtr<GstElement> pipeline(gst_parse_launch(description.c_str(), &error));
  if (error != nullptr) throw std::runtime_error(error->message);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const GstPtr<GstBus> bus(gst_element_get_bus(pipeline.get()));
  const GstPtr<GstMessage> message(
      gst_bus_timed_pop_filtered(bus.get(), 60 * GST_SECOND,
                                 static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  if (message == nullptr || GST_MESSAGE_TYPE(message.get()) != GST_MESSAGE_EOS)
    throw std::runtime_error("pipeline failed: " + description);
}

// Moving picture, B-frames, several reference frames; made once per name.
inline std::string clip(const std::string& name, int width, int height, int frames,
                        const std::string& rest) {
  const std::string path = (clip_folder() / name).string();
  if (!std::filesystem::exists(path)) {
    run_pipeline(
        "videotestsrc pattern=zone-plate kx2=20 ky2=20 kt=2 num-buffers=" + std::to_string(frames) +
        " ! video/x-raw,format=I420,framerate=30/1,width=" + std::to_string(width) +
        ",height=" + std::to_string(height) + " ! " + rest + " ! filesink location=" + path);
  }
  return path;
}

inline std::string h264_mp4(int width = 322, int height = 182, int frames = 90) {
  const std::string name =
      std::to_string(width) + "x" + std::to_string(height) + "-" + std::to_string(frames) + ".mp4";
  return clip(name, width, height, frames,
              "x264enc bframes=2 ref=4 key-int-max=30 speed-preset=veryfast ! h264parse ! "
              "mp4mux faststart=true");
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// The project's test videos; nothing when they are not there.
inline std::optional<std::filesystem::path> test_videos() {
  const char* configured = std::getenv("FRAMEBUS_TEST_DATA");
  if (configured == nullptr) return std::nullopt;
  const std::filesystem::path folder = std::filesystem::path(configured) / "video";
  if (!std::filesystem::is_directory(folder)) return std::nullopt;
  return folder;
}

}  // namespace framebus::test
