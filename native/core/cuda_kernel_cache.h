// Compiled kernels on disk, so that they are compiled once for a kind of GPU.
#pragma once

#include <optional>
#include <string>

#include "nvrtc.h"

namespace framebus::cuda {

// What a compiled kernel depends on.
struct KernelKey {
  std::string name;    // Of the kernel, for the file's name: letters, digits, '-'.
  std::string source;  // The whole text.
  int capability = 0;  // Of the GPU: 90 is 9.0.
  NvrtcVersion compiler;
};

// Processes share a folder: entries appear whole, and are read only if they are this
// user's own and not damaged.
class KernelCache {
 public:
  // Of an existing folder, or one that store() makes; empty: nothing is kept.
  explicit KernelCache(std::string folder) : folder_(std::move(folder)) {}
  // $FRAMEBUS_CACHE/kernels, $XDG_CACHE_HOME/framebus/kernels or
  // ~/.cache/framebus/kernels; empty when none of these is set.
  static KernelCache of_user();

  const std::string& folder() const { return folder_; }
  // The entry's file, whether it is there or not.
  std::string file(const KernelKey& key) const;
  std::optional<std::string> load(const KernelKey& key) const;
  // False when it cannot be kept; that is no error, only slower the next time.
  bool store(const KernelKey& key, const std::string& code) const;

 private:
  const std::string folder_;
};

}  // namespace framebus::cuda
