#include "cuda_kernel_cache.h"

#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "unique_fd.h"

namespace framebus::cuda {
namespace {

// Environment variables.
constexpr const char* kOwnCache = "FRAMEBUS_CACHE";
constexpr const char* kUserCache = "XDG_CACHE_HOME";

// An entry: this line, the SHA-256 of the code as text, a line feed, the code.
constexpr const char* kMagic = "framebus kernel 1\n";
constexpr size_t kDigestText = 64;
constexpr off_t kMostBytes = off_t{64} << 20;

std::string sha256(const std::string& bytes) {
  const std::unique_ptr<gchar, void (*)(void*)> text(
      g_compute_checksum_for_string(G_CHECKSUM_SHA256, bytes.data(),
                                    static_cast<gssize>(bytes.size())),
      &g_free);
  return text.get();
}

std::optional<std::string> read_all(int fd, size_t bytes) {
  std::string all(bytes, '\0');
  for (size_t done = 0; done < bytes;) {
    const ssize_t got = ::read(fd, all.data() + done, bytes - done);
    if (got <= 0) return std::nullopt;
    done += static_cast<size_t>(got);
  }
  return all;
}

bool write_all(int fd, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t put = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (put <= 0) return false;
    done += static_cast<size_t>(put);
  }
  return true;
}

}  // namespace

KernelCache KernelCache::of_user() {
  const auto below = [](const char* name, const char* rest) {
    const char* const value = std::getenv(name);
    return value != nullptr && *value != '\0' ? std::string(value) + rest : std::string();
  };
  std::string folder = below(kOwnCache, "/kernels");
  if (folder.empty()) folder = below(kUserCache, "/framebus/kernels");
  if (folder.empty()) folder = below("HOME", "/.cache/framebus/kernels");
  return KernelCache(folder);
}

std::string KernelCache::file(const KernelKey& key) const {
  return folder_ + "/" + key.name + "-" + sha256(key.source).substr(0, 16) + "-sm" +
         std::to_string(key.capability) + "-nvrtc" + std::to_string(key.compiler.major) + "." +
         std::to_string(key.compiler.minor);
}

std::optional<std::string> KernelCache::load(const KernelKey& key) const {
  if (folder_.empty()) return std::nullopt;
  const UniqueFd fd(::open(file(key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat found {};
  if (fd.get() < 0 || ::fstat(fd.get(), &found) != 0 || !S_ISREG(found.st_mode))
    return std::nullopt;
  // Code that somebody else put there would run in this process's name.
  if (found.st_uid != ::geteuid() || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return std::nullopt;
  const std::string magic = kMagic;
  const size_t header = magic.size() + kDigestText + 1;
  if (found.st_size <= static_cast<off_t>(header) || found.st_size > kMostBytes)
    return std::nullopt;
  const std::optional<std::string> all = read_all(fd.get(), static_cast<size_t>(found.st_size));
  if (!all || !all->starts_with(magic)) return std::nullopt;
  std::string code = all->substr(header);
  if (all->substr(magic.size(), kDigestText + 1) != sha256(code) + "\n") return std::nullopt;
  return code;
}

bool KernelCache::store(const KernelKey& key, const std::string& code) const {
  if (folder_.empty()) return false;
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  if (failed) return false;
  std::string temporary = folder_ + "/.new-XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return false;
  // Not synced: a file that a power cut left half written does not match its digest.
  const bool whole = write_all(fd.get(), kMagic + sha256(code) + "\n" + code);
  if (whole && std::rename(temporary.c_str(), file(key).c_str()) == 0) return true;
  ::unlink(temporary.c_str());
  return false;
}

}  // namespace framebus::cuda
