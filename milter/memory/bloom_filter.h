// A set of texts in 4096 bytes, which tells of a text that it is not in the set, or that it may be:
// B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970. It is sized for
// the 2048 texts of a group of rows (row_groups.h): with four bits set for each text, it says of one
// other text in 400 that it may be in the set. The hash is XXH3, because its value is the same in
// each version and on each machine. Plain value; one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace memory {

class BloomFilter {
 public:
  static constexpr std::size_t kBytes = 4096;

  void add(std::string_view text);
  // What is stored. Lives as long as the filter.
  std::string_view bytes() const { return bytes_; }

  // False: `text` was not added to the filter that has these bytes. Bytes that are no filter may
  // have every text.
  static bool may_have(std::string_view bytes, std::string_view text);

 private:
  std::string bytes_ = std::string(kBytes, '\0');
};

}  // namespace memory
