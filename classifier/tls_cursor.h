// Reads TLS's own notation (RFC 8446, 3): big-endian numbers and vectors behind their length, off a
// text that may end anywhere. Once something was missing all is 0 and empty, and good() says so.
// Used by tls_records.cc and client_hello.cc only.
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
  // The next `size` bytes, to be read on their own.
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
