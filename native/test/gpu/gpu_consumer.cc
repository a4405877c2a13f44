#include "gpu_consumer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <thread>

#include "core/bus_consumer.h"
#include "core/cuda_device.h"
#include "core/cuda_preprocess.h"
#include "core/cuda_release.h"
#include "core/error.h"
#include "core/monotonic.h"
#include "frame_hash.h"
#include "test/preprocess_variants.h"

namespace framebus::test {
namespace {

struct FrameLine {
  std::string epoch;
  uint32_t slot = 0;
  uint64_t generation = 0;
  uint64_t seq = 0;
  uint64_t published_ns = 0;
};

std::optional<FrameLine> next_frame() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "end") return std::nullopt;
    FrameLine frame;
    if (kind == "frame" &&
        words >> frame.epoch >> frame.slot >> frame.generation >> frame.seq >> frame.published_ns) {
      return frame;
    }
  }
  return std::nullopt;
}

std::map<uint64_t, std::string> reference(const std::string& file) {
  std::map<uint64_t, std::string> frames;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    if (!line.starts_with("frames ")) frames[std::stoull(line)] = line.substr(space + 1);
  }
  return frames;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(last * q)];
}

double us_since(uint64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) / 1e3; }

class Reader {
 public:
  explicit Reader(const std::string& folder)
      : consumer_(BusConsumer::create(
            {.directory = folder, .name = "proof", .group = "proof", .max_held = 8},
            [this](const DetachedEvent&) { gone_ = true; })) {
    const uint64_t start = monotonic_ns();
    // A context takes long to make and is no part of attaching.
    device_ = cuda::CudaDevice::first();
    context_us_ = us_since(start);
  }
  ~Reader() { consumer_->close(); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Null when the frame has gone. Throws when it cannot attach.
  std::shared_ptr<SlotLease> lease(const FrameLine& frame) {
    auto result = consumer_->lease(frame.epoch, frame.slot, frame.generation);
    const auto* refusal = std::get_if<LeaseRefusal>(&result);
    if (refusal != nullptr && *refusal == LeaseRefusal::kUnattached) {
      const uint64_t start = monotonic_ns();
      consumer_->attach("gpu", frame.epoch);
      attach_us_ = us_since(start);
      result = consumer_->lease(frame.epoch, frame.slot, frame.generation);
    }
    auto* lease = std::get_if<std::shared_ptr<SlotLease>>(&result);
    return lease != nullptr ? *lease : nullptr;
  }

  bool gone() const { return gone_; }
  double attach_us() const { return attach_us_; }
  double context_us() const { return context_us_; }

 private:
  std::atomic<bool> gone_ = false;
  std::shared_ptr<BusConsumer> consumer_;
  std::shared_ptr<const cuda::CudaDevice> device_;
  double attach_us_ = 0;
  double context_us_ = 0;
};

int verify(Reader& reader, const std::string& reference_file) {
  std::map<uint64_t, std::string> wanted = reference(reference_file);
  const size_t all = wanted.size();
  uint64_t equal = 0;
  uint64_t different = 0;
  uint64_t missed = 0;
  std::vector<double> download_us;
  std::string pixel_format;
  while (const std::optional<FrameLine> frame = next_frame()) {
    const std::shared_ptr<SlotLease> lease = reader.lease(*frame);
    if (lease == nullptr) {
      ++missed;
      continue;
    }
    const uint64_t start = monotonic_ns();
    const FrameRead read = lease->read();
    download_us.push_back(us_since(start));
    pixel_format = read.view().format.pixel_format == PixelFormat::kNv12 ? "NV12" : "I420";
    const bool same = wanted[frame->seq % all] == frame_hash(read.view());
    ++(same ? equal : different);
    if (!same && different == 1) std::printf("first different: %" PRIu64 "\n", frame->seq);
  }
  std::printf("{\"frames\":%zu,\"equal\":%" PRIu64 ",\"different\":%" PRIu64 ",\"missed\":%" PRIu64
              ",\"pixel_format\":\"%s\",\"context_us\":%.0f,\"attach_us\":%.0f"
              ",\"read_us\":{\"p50\":%.1f,\"p99\":%.1f}}\n",
              all, equal, different, missed, pixel_format.c_str(), reader.context_us(),
              reader.attach_us(), quantile(download_us, 0.5), quantile(download_us, 0.99));
  return equal == all && different == 0 && missed == 0 ? 0 : 1;
}

int follow(Reader& reader) {
  constexpr size_t kFrames = 150;
  std::vector<double> latency_us;
  std::optional<FrameLine> frame = next_frame();
  if (frame) reader.lease(*frame);  // Attaches.
  while (latency_us.size() < kFrames && (frame = next_frame())) {
    if (reader.lease(*frame) != nullptr) latency_us.push_back(us_since(frame->published_ns));
  }
  std::printf("{\"frames\":%zu,\"publish_to_lease_us\":{\"p50\":%.1f,\"p99\":%.1f}}\n",
              latency_us.size(), quantile(latency_us, 0.5), quantile(latency_us, 0.99));
  return latency_us.size() == kFrames ? 0 : 1;
}

// A tensor on the device, as an engine would have it.
class DeviceTensor {
 public:
  explicit DeviceTensor(size_t floats) : floats_(floats), stream_(device_) {
    const cuda::CurrentContext current(device_->context());
    cuda::check(cuda::driver().memory_alloc(&address_, floats * sizeof(float)), "tensor",
                "cuMemAlloc");
  }
  ~DeviceTensor() {
    const cuda::CurrentContext current(device_->context());
    cuda::driver().memory_free(address_);
  }
  DeviceTensor(const DeviceTensor&) = delete;
  DeviceTensor& operator=(const DeviceTensor&) = delete;

  // The frame goes back when the GPU has read it.
  void fill(const std::shared_ptr<SlotLease>& lease, const FrameView& view,
            const PreprocessSpec& spec) {
    preprocess_to_device({&view, 1}, spec, address_, stream_.get());
    const cuda::CurrentContext current(device_->context());
    release_after(stream_.get(), lease);
  }
  std::vector<float> read() const {
    const cuda::CurrentContext current(device_->context());
    std::vector<float> all(floats_);
    const cuda::Driver& d = cuda::driver();
    cuda::check(d.copy_to_host(all.data(), address_, floats_ * sizeof(float), stream_.get()),
                "tensor", "cuMemcpyDtoHAsync");
    cuda::check(d.stream_synchronize(stream_.get()), "tensor", "cuStreamSynchronize");
    return all;
  }

 private:
  const std::shared_ptr<const cuda::CudaDevice> device_ = cuda::CudaDevice::first();
  const size_t floats_;
  const cuda::OwnStream stream_;
  cuda::Address address_ = 0;
};

FrameView with_colors(FrameView view, unsigned variant) {
  variant_colors(variant, view.format);
  return view;
}

int preprocess_all(Reader& reader) {
  constexpr std::array<std::pair<uint32_t, uint32_t>, 3> kSizes{
      {{640, 640}, {300, 300}, {416, 256}}};
  DeviceTensor tensor(size_t{3} * 640 * 640);
  std::vector<float> wanted(size_t{3} * 640 * 640);
  unsigned frames = 0;
  unsigned tensors = 0;
  unsigned missed = 0;
  double worst = 0;
  double other = 0;  // To another variant's tensor: the comparison sees what differs.
  while (const std::optional<FrameLine> frame = next_frame()) {
    const std::shared_ptr<SlotLease> lease = reader.lease(*frame);
    missed += lease == nullptr ? 1 : 0;
    if (lease == nullptr) continue;
    const unsigned variant = frames++ % kVariants;
    const FrameRead read = lease->read();
    const FrameView host = with_colors(read.view(), variant);
    const FrameView device = with_colors(lease->device(), variant);
    const auto& [width, height] = kSizes[frames % kSizes.size()];
    const PreprocessSpec spec = variant_spec(variant, width, height);
    const uint32_t left = frames % (host.format.width / 2) & ~1U;
    const uint32_t top = frames % (host.format.height / 2) & ~1U;
    const auto part = [&](const FrameView& whole) {
      return part_of(whole, left, top, whole.format.width / 2 - 1, whole.format.height / 2 - 3);
    };
    for (const auto& [on_gpu, on_cpu] :
         {std::pair{device, host}, std::pair{part(device), part(host)}}) {
      tensor.fill(lease, on_gpu, spec);
      preprocess(on_cpu, spec, wanted.data());
      const std::vector<float> found = tensor.read();
      worst = std::max(worst, worst_level(found, wanted, spec));
      preprocess(with_colors(on_cpu, variant ^ 16), spec, wanted.data());
      other = std::max(other, worst_level(found, wanted, spec));
      ++tensors;
    }
  }
  std::printf(
      "{\"frames\":%u,\"tensors\":%u,\"missed\":%u,\"worst_level_difference\":%.7f,\"other_matrix_"
      "level_difference\":%.1f}\n",
      frames, tensors, missed, worst, other);
  return frames >= kVariants && missed == 0 && worst <= kPreprocessTolerance && other > 1 ? 0 : 1;
}

int hold(Reader& reader) {
  constexpr size_t kFrames = 4;
  std::vector<std::shared_ptr<SlotLease>> leases;
  std::vector<std::string> hashes;
  while (leases.size() < kFrames) {
    const std::optional<FrameLine> frame = next_frame();
    if (!frame) return 1;
    if (auto lease = reader.lease(*frame)) {
      hashes.push_back(frame_hash(lease->read().view()));
      leases.push_back(std::move(lease));
    }
  }
  std::printf("holding\n");
  std::fflush(stdout);
  while (!reader.gone()) {
    if (!next_frame()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  size_t same = 0;
  for (size_t i = 0; i < kFrames; ++i)
    same += frame_hash(leases[i]->read().view()) == hashes[i] ? 1 : 0;
  std::printf("{\"held\":%zu,\"unchanged_after_producer\":%zu}\n", kFrames, same);
  return same == kFrames ? 0 : 1;
}

int write(Reader& reader) {
  std::shared_ptr<SlotLease> lease;
  while (lease == nullptr) {
    const std::optional<FrameLine> frame = next_frame();
    if (!frame) return 1;
    lease = reader.lease(*frame);
  }
  const auto device = cuda::CudaDevice::first();
  const cuda::CurrentContext current(device->context());
  const std::vector<uint8_t> zeros(4096);
  const auto to = reinterpret_cast<cuda::Address>(lease->device().data[0]);
  cuda::Result result = cuda::driver().copy_to_device(to, zeros.data(), zeros.size(), nullptr);
  if (result == cuda::kSuccess) result = cuda::driver().stream_synchronize(nullptr);
  std::printf("{\"written\":%s,\"error\":\"%s\"}\n", result == cuda::kSuccess ? "true" : "false",
              cuda::text_of(result).c_str());
  std::fflush(stdout);
  std::_Exit(result == cuda::kSuccess ? 1 : 0);
}

}  // namespace

int gpu_consumer(const std::vector<std::string>& arguments) {
  try {
    Reader reader(arguments.at(0));
    const std::string& what = arguments.at(1);
    if (what == "verify") return verify(reader, arguments.at(2));
    if (what == "follow") return follow(reader);
    if (what == "preprocess") return preprocess_all(reader);
    return what == "hold" ? hold(reader) : write(reader);
  } catch (const Error& error) {
    std::printf("refused %s %s\n", error.code(), error.what());
    return 3;
  }
}

}  // namespace framebus::test
