#include "dmabuf_pool_memory.h"

#include <utility>

#include "dmabuf.h"
#include "dmabuf_exporter.h"
#include "error.h"
#include "memory_room.h"

namespace framebus {
namespace {

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

Error nothing_there(const std::string& pool, const std::vector<std::string>& missing) {
  return {"MEMORY_UNSUPPORTED",
          pool + ": no DMA-BUFs on this machine: " + joined(missing) +
              ". Load a module (modprobe udmabuf), give this process the device (its group, or "
              "--device for a container), or use memory shm"};
}

}  // namespace

std::unique_ptr<DmabufPoolMemory> DmabufPoolMemory::create(const PoolMemoryOptions& options) {
  const std::string pool = "frame pool of stream '" + options.stream_id + "'";
  DmabufExporters exporters = find_dmabuf_exporters();
  if (exporters.found.empty()) throw nothing_there(pool, exporters.missing);
  require_memory(pool, uint64_t{options.slots} * options.slot_stride);
  const char* code = nullptr;
  std::vector<std::string> refusals;
  for (const auto& exporter : exporters.found) {
    try {
      std::vector<UniqueFd> buffers = exporter->allocate("framebus-pool-" + options.stream_id,
                                                         options.slots, options.slot_stride);
      for (const UniqueFd& buffer : buffers) {
        name_dmabuf(buffer.get(), "framebus-" + options.stream_id);
      }
      return std::make_unique<DmabufPoolMemory>(exporter->name(), std::move(buffers),
                                                options.slot_stride);
    } catch (const Error& error) {
      if (code == nullptr) code = error.code();
      refusals.push_back(error.what());
    }
  }
  throw Error(code, pool + ": " + joined(refusals));
}

DmabufPoolMemory::DmabufPoolMemory(std::string exporter, std::vector<UniqueFd> buffers,
                                   size_t slot_stride)
    : exporter_(std::move(exporter)), buffers_(std::move(buffers)) {
  for (const UniqueFd& buffer : buffers_) {
    mappings_.push_back(map_dmabuf(buffer.get(), slot_stride, CpuAccess::kWrite));
  }
}

void DmabufPoolMemory::begin_write(uint32_t slot) {
  begin_cpu_access(buffers_.at(slot).get(), CpuAccess::kWrite);
}
void DmabufPoolMemory::end_write(uint32_t slot) {
  end_cpu_access(buffers_.at(slot).get(), CpuAccess::kWrite);
}

std::vector<int> DmabufPoolMemory::fds() const {
  std::vector<int> fds;
  for (const UniqueFd& buffer : buffers_) fds.push_back(buffer.get());
  return fds;
}

}  // namespace framebus
