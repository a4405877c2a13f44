#include "cuda_device.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>
#include <utility>

#include "error.h"

namespace framebus::cuda {
namespace {

constexpr const char* kObject = "CUDA device";

Uuid uuid_of(Device device) {
  Uuid uuid;
  check(driver().device_uuid(&uuid, device), kObject, "cuDeviceGetUuid");
  return uuid;
}

// One object a device, while anybody uses it.
std::shared_ptr<const CudaDevice> shared(Device device, const Uuid& uuid) {
  static std::mutex mutex;
  static std::map<Device, std::weak_ptr<const CudaDevice>> devices;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const CudaDevice>& known = devices[device];
  if (std::shared_ptr<const CudaDevice> alive = known.lock()) return alive;
  auto made = std::make_shared<const CudaDevice>(device, uuid);
  known = made;
  return made;
}

// Only the kernel module tells; libcuda says which CUDA it is for.
std::string module_version() {
  std::ifstream file("/sys/module/nvidia/version");
  std::string version;
  if (file >> version) return version;
  // "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build"
  std::ifstream line("/proc/driver/nvidia/version");
  for (std::string word; line >> word;) {
    const bool digits = std::all_of(word.begin(), word.end(),
                                    [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
    if (digits && word.find('.') != std::string::npos) return word;
  }
  return "unknown";
}

}  // namespace

std::shared_ptr<const CudaDevice> CudaDevice::first() {
  const Driver& d = driver();
  int count = 0;
  check(d.device_count(&count), kObject, "cuDeviceGetCount");
  if (count == 0) {
    throw Error("MEMORY_UNSUPPORTED",
                "CUDA memory: no GPU is visible to this process; set CUDA_VISIBLE_DEVICES, or use "
                "memory shm");
  }
  Device device = 0;
  check(d.device_get(&device, 0), kObject, "cuDeviceGet");
  return shared(device, uuid_of(device));
}

std::shared_ptr<const CudaDevice> CudaDevice::with(const Uuid& uuid) {
  const Driver& d = driver();
  int count = 0;
  check(d.device_count(&count), kObject, "cuDeviceGetCount");
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    Device device = 0;
    check(d.device_get(&device, ordinal), kObject, "cuDeviceGet");
    if (uuid_of(device).bytes == uuid.bytes) return shared(device, uuid);
  }
  throw Error("MEMORY_UNSUPPORTED",
              "CUDA memory from the producer: it lies on " + text_of(uuid) +
                  ", which this process does not see; give it that GPU (--gpus, "
                  "CUDA_VISIBLE_DEVICES), or let the producer use memory shm");
}

CudaDevice::CudaDevice(Device device, const Uuid& uuid) : device_(device), uuid_(uuid) {
  std::array<char, 256> name{};
  check(driver().device_name(name.data(), static_cast<int>(name.size()) - 1, device), kObject,
        "cuDeviceGetName");
  name_ = name.data();
  check(driver().primary_context_retain(&context_, device), name_, "cuDevicePrimaryCtxRetain");
}

CudaDevice::~CudaDevice() { driver().primary_context_release(device_); }

bool CudaDevice::shares_by_descriptor() const {
  const Driver& d = driver();
  int mapping = 0;
  int descriptor = 0;
  return d.device_attribute(&mapping, kAttributeVmm, device_) == kSuccess && mapping != 0 &&
         d.device_attribute(&descriptor, kAttributePosixFd, device_) == kSuccess && descriptor != 0;
}

CurrentContext::CurrentContext(Context context) {
  check(driver().context_push(context), kObject, "cuCtxPushCurrent");
}

CurrentContext::~CurrentContext() {
  Context popped = nullptr;
  driver().context_pop(&popped);
}

OwnStream::OwnStream(std::shared_ptr<const CudaDevice> device) : device_(std::move(device)) {
  const CurrentContext current(device_->context());
  check(driver().stream_create(&stream_, kStreamNonBlocking), device_->name(), "cuStreamCreate");
}

OwnStream::~OwnStream() { driver().stream_destroy(stream_); }

std::string text_of(const Uuid& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "GPU";
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[uuid.bytes[i] >> 4];
    text += kDigits[uuid.bytes[i] & 15];
  }
  return text;
}

std::string describe_first_device() {
  const std::shared_ptr<const CudaDevice> device = CudaDevice::first();
  int version = 0;
  check(driver().driver_version(&version), device->name(), "cuDriverGetVersion");
  return device->name() + ", driver " + module_version() + ", CUDA " +
         std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace framebus::cuda
