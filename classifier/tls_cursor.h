// Reads the notation of TLS (RFC 8446, 3): big-endian numbers, and vectors after their length. The
// input may end anywhere. Once something is missing, every result is 0 or empty, and good() is
// false. Used by tls_records.cc and client_hello.cc only.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace classifier {

class TlsCursor {
 public:
  explicit TlsCursor(std::span<const char> bytes) : bytes_(bytes) {}

  std::uint32_t number(std::size_t size) {
    std::uint32_t value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  void skip(std::size_t size) { take(size); }
  // Returns the next `size` bytes as an input of their own.
  TlsCursor part(std::size_t size) { return TlsCursor(take(size)); }
  std::string text(std::size_t size) {
    const auto bytes = take(size);
    return {bytes.begin(), bytes.end()};
  }

  bool good() const { return good_; }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::span<const char> take(std::size_t size) {
    good_ = good_ && size <= bytes_.size();
    if (!good_) {
      bytes_ = {};
      return {};
    }
    const auto taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }

  std::span<const char> bytes_;
  bool good_ = true;
};

}  // namespace classifier
