// What every fuzz target needs: a check that no build switches off, and bytes taken from the input
// one after the other. After the input's end the bytes are zeros.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace fuzz {

inline void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : text_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return text_.empty(); }
  std::uint8_t byte() {
    const auto some = take(1);
    return some.empty() ? 0 : static_cast<std::uint8_t>(some[0]);
  }
  std::uint16_t word() {
    const unsigned high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }
  std::string_view take(std::size_t size) {
    const auto some = text_.substr(0, size);
    text_.remove_prefix(some.size());
    return some;
  }
  // A length in one byte, then that many bytes.
  std::string_view text() { return take(byte()); }

 private:
  std::string_view text_;
};

}  // namespace fuzz
