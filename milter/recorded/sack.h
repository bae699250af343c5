// Selective acknowledgements: the bytes after a gap that a receiver reports to have. RFC 2018.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "classifier/stream.h"

namespace recorded {

// The blocks of a packet's SACK option, as sequence numbers. If the option was cut, only the
// complete blocks. Pure.
struct SackOption {
  struct Block {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  static constexpr std::size_t kMostBlocks = 4;  // an option has no room for more

  bool there = false;
  std::size_t count = 0;
  std::array<Block, kMostBlocks> blocks{};
};

// `options`: the options of a TCP header, or their captured part.
SackOption read_sack(std::span<const std::uint8_t> options);

// The bytes of a stream that its receiver has reported by SACK. Not thread-safe.
class SackedRanges {
 public:
  // Beyond this number nothing is added: a report is evidence, but none of it is required. Chosen,
  // not measured.
  static constexpr std::size_t kMostRanges = 256;

  void add(classifier::Span range);
  // Removes ranges before `offset`, which are no longer needed.
  void drop_before(std::uint64_t offset);
  void clear() { ranges_.clear(); }
  bool empty() const { return ranges_.empty(); }
  // Returns the first part of `span` that was reported; nullopt if none was.
  std::optional<classifier::Span> first_in(classifier::Span span) const;

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // from begin to end; the ranges do not touch
};

}  // namespace recorded
