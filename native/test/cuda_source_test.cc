// Sources that decode into GPU memory: by NVDEC where there is one, else on the
// CPU and uploaded.
#include <algorithm>
#include <atomic>

#include "core/source.h"
#include "cuda_rig.h"
#include "gpu/frame_hash.h"
#include "source_clip.h"
#include "source_player.h"  // fast_file()

using namespace framebus;
using namespace framebus::test;

namespace {

Gpu gpu = Gpu::kNone;

struct Seen {
  std::vector<EpochEvent> epochs;
  std::vector<std::string> hashes;
  std::vector<WarningEvent> warnings;
  std::vector<ErrorEvent> errors;
  SourceStats stats;
};

// Plays a file to its end; a consumer on the bus looks at every frame.
class Play {
 public:
  Play(const SourceOptions& options)
      : server_(BusServer::create({.directory = directory_.path(),
                                   .producer = "ingest-0",
                                   .allow_uids = {},
                                   .allow_gids = {}},
                                  [](const auto&) {})),
        worker_(directory_),
        source_(
            options, [this](const auto& pool) { server_->add_pool(pool); },
            [this](const SourceEvent& event) { return on_event(event); }) {
    source_.start();
    {
      std::unique_lock lock(mutex_);
      CHECK(changed_.wait_for(lock, 60s, [this] { return over_; }));
    }
    source_.stop();
    seen.stats = source_.stats();
  }
  ~Play() { server_->close(); }

  Seen seen;

 private:
  bool on_event(const SourceEvent& event) {
    const std::lock_guard lock(mutex_);
    if (const auto* epoch = std::get_if<EpochEvent>(&event)) {
      worker_.consumer->attach("ingest-0", epoch->epoch);
      seen.epochs.push_back(*epoch);
    }
    if (const auto* frame = std::get_if<FrameEvent>(&event)) {
      const auto leased = worker_.consumer->lease(frame->epoch, frame->slot, frame->generation);
      const auto* lease = std::get_if<std::shared_ptr<SlotLease>>(&leased);
      seen.hashes.push_back(lease != nullptr ? frame_hash((*lease)->read().view()) : "");
    }
    if (const auto* warning = std::get_if<WarningEvent>(&event)) seen.warnings.push_back(*warning);
    if (const auto* error = std::get_if<ErrorEvent>(&event)) seen.errors.push_back(*error);
    over_ = over_ || std::holds_alternative<EndEvent>(event) || !seen.errors.empty();
    changed_.notify_all();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  Directory directory_;
  std::shared_ptr<BusServer> server_;
  Worker worker_;
  Source source_;
};

Seen play(const std::string& file, MemoryKind memory, uint32_t slots = 4) {
  SourceOptions options = fast_file(file);
  options.memory = memory;
  options.slots = slots;
  return Play(options).seen;
}

bool warned(const Seen& seen) {
  return std::any_of(seen.warnings.begin(), seen.warnings.end(),
                     [](const WarningEvent& w) { return w.code == "NVDEC_UNAVAILABLE"; });
}

bool has_nvdec() {
  GstElementFactory* const factory = gst_element_factory_find("nvh264dec");
  if (factory != nullptr) gst_object_unref(factory);
  return factory != nullptr;
}

}  // namespace

TEST("a file decoded into GPU memory has the pixels of one decoded into shared memory") {
  const Live before = live();
  const std::string file = h264_mp4();
  const Seen shared = play(file, MemoryKind::kShm);
  const Seen on_gpu = play(file, MemoryKind::kCuda);
  CHECK(on_gpu.errors.empty() && on_gpu.hashes.size() == 90);
  CHECK(on_gpu.hashes == shared.hashes);
  CHECK(on_gpu.epochs.size() == 1 && on_gpu.epochs[0].memory == MemoryKind::kCuda);
  // No decoder keeps slots of a GPU: those asked for, and one to write.
  CHECK(on_gpu.epochs[0].slots == 5 && on_gpu.stats.frames_copied == 90);
  std::printf("# decoded by %s\n", on_gpu.epochs[0].decoder.c_str());
  CHECK(on_gpu.epochs[0].decoder.starts_with("nv") == has_nvdec());
  CHECK(warned(on_gpu) == !has_nvdec());
  CHECK(live() == before);
}

TEST("what NVDEC does not know is decoded on the CPU and uploaded, with a warning") {
  const std::string file = clip("raw.avi", 320, 180, 20, "avimux");
  const Seen shared = play(file, MemoryKind::kShm);
  const Seen on_gpu = play(file, MemoryKind::kCuda);
  CHECK(on_gpu.errors.empty() && on_gpu.hashes.size() == 20);
  CHECK(on_gpu.hashes == shared.hashes);
  CHECK(warned(on_gpu) && on_gpu.warnings.size() == 1);
}

// An element of a plugin "nvcodec" that takes H.264 and fails at the first picture,
// as NVDEC does with a profile that it does not know, or without a free session.
struct FailingNvdec {
  GstElement parent;
};
struct FailingNvdecClass {
  GstElementClass parent_class;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wvolatile"
G_DEFINE_TYPE(FailingNvdec, failing_nvdec, GST_TYPE_ELEMENT)
#pragma GCC diagnostic pop

std::atomic<int> failed_decoders = 0;

void failing_nvdec_init(FailingNvdec* self) {
  auto* element = &self->parent;
  for (const char* name : {"sink", "src"}) {
    GstPadTemplate* pad = gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(element), name);
    gst_element_add_pad(element, gst_pad_new_from_template(pad, name));
  }
  GstPad* sink = gst_element_get_static_pad(element, "sink");
  gst_pad_set_chain_function(sink, [](GstPad*, GstObject* parent, GstBuffer* buffer) {
    gst_buffer_unref(buffer);
    ++failed_decoders;
    gst_element_message_full(GST_ELEMENT_CAST(parent), GST_MESSAGE_ERROR, GST_STREAM_ERROR,
                             GST_STREAM_ERROR_DECODE, nullptr, nullptr, __FILE__, "chain",
                             __LINE__);
    return GST_FLOW_ERROR;
  });
  gst_object_unref(sink);
}

void failing_nvdec_class_init(FailingNvdecClass* klass) {
  const auto add = [&](const char* name, GstPadDirection direction, const char* caps) {
    GstCaps* made = gst_caps_from_string(caps);
    gst_element_class_add_pad_template(&klass->parent_class,
                                       gst_pad_template_new(name, direction, GST_PAD_ALWAYS, made));
    gst_caps_unref(made);
  };
  add("sink", GST_PAD_SINK, "video/x-h264, stream-format=byte-stream, alignment=au");
  add("src", GST_PAD_SRC, "video/x-raw(memory:CUDAMemory), format=NV12");
  gst_element_class_set_static_metadata(&klass->parent_class, "Failing NVDEC",
                                        "Codec/Decoder/Video/Hardware", "Fails", "test");
}

void add_failing_nvdec() {
  const auto init = [](GstPlugin* plugin) {
    return gst_element_register(plugin, "nvfailingdec", GST_RANK_MARGINAL,
                                failing_nvdec_get_type());
  };
  CHECK(gst_plugin_register_static(GST_VERSION_MAJOR, GST_VERSION_MINOR, "nvcodec", "test", init,
                                   "1", "LGPL", "test", "test", "test") != FALSE);
}

TEST("an NVDEC that fails on a file is not asked again: the CPU decodes all of it") {
  if (has_nvdec()) return;
  const std::string file = h264_mp4();
  const Seen shared = play(file, MemoryKind::kShm);
  add_failing_nvdec();
  CHECK(play(file, MemoryKind::kShm).hashes == shared.hashes && failed_decoders == 0);
  const Seen on_gpu = play(file, MemoryKind::kCuda);
  CHECK(failed_decoders == 1);
  CHECK(on_gpu.errors.empty() && on_gpu.hashes == shared.hashes && warned(on_gpu));
}

TEST("a source without room on the GPU fails with the reason") {
  // The fake GPU has 1 GiB; a real one more than any such pool.
  if (gpu != Gpu::kFake) return;
  const std::string file =
      clip("large.mp4", 1280, 720, 3, "x264enc speed-preset=ultrafast ! mp4mux");
  const Seen seen = play(file, MemoryKind::kCuda, 1022);
  CHECK(seen.errors.size() == 1 && seen.errors[0].code == "NO_SPACE");
  CHECK(seen.hashes.empty());
}

int main() {
  gpu = load_gpu();
  return run_all();
}
