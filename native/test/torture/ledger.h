// The referee's book: what became of each frame in each group.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cast.h"
#include "frame_pattern.h"

namespace framebus::test {

class Ledger {
 public:
  void published(const FrameName& frame);
  void gave_back(uint32_t group, const FrameName& frame);
  void closed(uint32_t group, const FrameName& frame);
  void done(uint32_t group, const FrameName& frame, uint32_t member);

  // Whether a descriptor still has a purpose: the frame was not done since it
  // was given back so many times.
  bool wanted(uint32_t group, const FrameName& frame, uint32_t attempt) const;

  // Frames of the stream's present life: published, and done by the group.
  uint64_t published_now(uint32_t stream) const;
  uint64_t done_now(uint32_t stream, uint32_t group) const;
  uint64_t frames() const { return frames_; }
  uint64_t done_frames() const { return done_; }
  uint64_t given_back() const { return given_back_; }
  uint64_t repeated() const { return repeated_; }

  // What is wrong in a life; `alive`: its producer drained and has not died.
  std::vector<std::string> faults(uint32_t stream, uint32_t life, bool alive) const;
  void forget(uint32_t stream, uint32_t life) { lives_.erase({stream, life}); }

 private:
  struct Entry {
    uint64_t order = 0;  // When it was first done.
    uint16_t done = 0;
    uint16_t given_back = 0;
    uint8_t member = 0;  // Who did it first.
    bool closed = false;
  };
  struct Life {
    uint64_t published = 0;
    std::array<std::vector<Entry>, kGroups.size()> groups;
    std::array<uint64_t, kGroups.size()> done{};
  };
  Entry* find(uint32_t group, const FrameName& frame);
  const Life* present(uint32_t stream) const;
  static void check_group(const Life& life, const std::string& where, uint32_t group, bool alive,
                          std::vector<std::string>& faults);

  std::map<std::pair<uint32_t, uint32_t>, Life> lives_;  // By stream and life.
  uint64_t order_ = 0;
  uint64_t frames_ = 0;
  uint64_t done_ = 0;
  uint64_t given_back_ = 0;
  uint64_t repeated_ = 0;
};

}  // namespace framebus::test
