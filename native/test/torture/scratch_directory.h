// A folder for the producers' sockets, removed at its end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace framebus::test {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    char name[] = "/tmp/framebus-torture-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("torture: no folder for sockets");
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }
  // Name of a file that is in it; nothing when it is empty.
  std::string leftover() const {
    const std::filesystem::directory_iterator first(path_);
    return first == std::filesystem::directory_iterator() ? "" : first->path().filename().string();
  }

 private:
  std::string path_;
};

}  // namespace framebus::test
