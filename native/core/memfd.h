// Sealed anonymous memory that can be handed to another process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "unique_fd.h"

namespace framebus {

// A mapping with one owner.
class Mapping {
 public:
  Mapping() = default;
  Mapping(uint8_t* data, size_t bytes) : data_(data), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
};

// The memory's size never changes: SIGBUS cannot happen to whoever maps it.
struct Memfd {
  UniqueFd fd;
  Mapping mapping;
};

// Who may write: only the mapping returned here, ever; or whoever has the fd.
enum class Writers { kCreatorOnly, kAnyHolder };

// Allocates (so that a lack of memory is an error now, not a signal later),
// maps for reading and writing, and seals. `name` is for people who look at
// /proc. Throws NO_SPACE, BUS_MEMORY.
Memfd create_memfd(const std::string& name, size_t bytes, Writers writers);

// Maps memory received from a producer after checking its seals and size.
// Throws BUS_MEMORY.
Mapping map_memfd(int fd, size_t bytes, Writers writers);

}  // namespace framebus
