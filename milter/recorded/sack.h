// Selective acknowledgements: what a receiver says it has behind a gap. RFC 2018.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "classifier/stream.h"

namespace recorded {

// The blocks of a packet's SACK option, as sequence numbers; of an option that was cut, those that
// are whole. Pure.
struct SackOption {
  struct Block {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  static constexpr std::size_t kMostBlocks = 4;  // there is no room for more

  bool there = false;
  std::size_t count = 0;
  std::array<Block, kMostBlocks> blocks{};
};

// `options`: of a TCP header, or what was captured of them.
SackOption read_sack(std::span<const std::uint8_t> options);

// Which bytes of a stream its receiver has reported so. Not thread-safe.
class SackedRanges {
 public:
  // Beyond it nothing is added: what was reported is evidence, and none of it is needed.
  static constexpr std::size_t kMostRanges = 256;

  void add(classifier::Span range);
  // What lies in front of `offset` will not be asked for.
  void drop_before(std::uint64_t offset);
  void clear() { ranges_.clear(); }
  bool empty() const { return ranges_.empty(); }
  // The first part of `span` that was reported; nothing: none was.
  std::optional<classifier::Span> first_in(classifier::Span span) const;

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin and end; they do not touch
};

}  // namespace recorded
