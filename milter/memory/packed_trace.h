// The text form of a trace as a row has it: compressed by zstd with a dictionary that is compiled
// in (dictionary/README.md). One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memory {

class TracePacker {
 public:
  // Throws std::bad_alloc.
  TracePacker();
  ~TracePacker();
  TracePacker(const TracePacker&) = delete;
  TracePacker& operator=(const TracePacker&) = delete;

  static constexpr std::uint32_t kDictionary = 1;  // that new rows are compressed with

  // Valid until the next call. Throws std::runtime_error.
  std::string_view pack(std::string_view text);
  // Nothing: damaged, of a dictionary that this program does not have, or longer than
  // kMostTraceText (sighting_bytes.h).
  std::optional<std::string> unpack(std::string_view packed, std::uint32_t dictionary);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string packed_;
};

}  // namespace memory
