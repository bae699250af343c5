// Joins the server's bytes into replies. Of each line it keeps the code and the status after it.
// RFC 5321, 4.2; RFC 2034. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace classifier {

class ReplyReader {
 public:
  enum class Got : std::uint8_t { More, Reply, Malformed };

  // A line of more than `limit` bytes is malformed.
  explicit ReplyReader(std::size_t limit) : limit_(limit) {}

  // Takes bytes off `bytes`, up to the end of one reply.
  Got read(std::span<const char>& bytes);

  // The code of the last line.
  int code() const { return code_; }
  // Is the detail of the enhanced status code ".7.0" (other or undefined security status)?
  bool security_status() const { return std::string_view(&head_[5], 4) == ".7.0"; }
  // The next bytes do not continue the current line. They may be the rest of another one.
  void forget() { size_ = 0; }

 private:
  char parse_line();

  std::size_t limit_;
  std::array<char, 16> head_{};
  std::size_t size_ = 0;  // bytes of the current line
  int code_ = 0;
};

// What the code of a reply means.
constexpr bool closes(int code) {
  return code == 221 || code == 421 || code == 521;
}
constexpr bool succeeded(int code) {
  return code / 100 == 2;
}
constexpr bool failed(int code) {
  return code >= 400;
}

}  // namespace classifier
