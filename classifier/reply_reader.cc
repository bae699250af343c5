#include "classifier/reply_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace classifier {

ReplyReader::Got ReplyReader::read(std::span<const char>& bytes) {
  while (!bytes.empty()) {
    const auto* lf = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
    const std::size_t size = lf == nullptr ? bytes.size() : lf + 1 - bytes.data();
    const std::size_t keep = std::min(size, head_.size() - std::min(size_, head_.size()));
    std::copy_n(bytes.begin(), keep, head_.begin() + std::min(size_, head_.size()));
    size_ += size;
    bytes = bytes.subspan(size);
    if (size_ > limit_) return Got::Malformed;
    if (lf == nullptr) return Got::More;
    const char mark = parse_line();
    if (mark == '\0') return Got::Malformed;
    if (mark != '-') return Got::Reply;
  }
  return Got::More;
}

// Requires: a whole line was read. Returns the character after the code: '-', or ' ' for the last
// line of a reply. Returns '\0' if it is not a line of a reply.
char ReplyReader::parse_line() {
  const std::size_t size = std::exchange(size_, 0);
  std::fill(head_.begin() + std::min(size, head_.size()), head_.end(), '\0');
  const auto digit = [&](std::size_t i) { return head_[i] >= '0' && head_[i] <= '9'; };
  if (size < 4 || head_[0] < '2' || head_[0] > '5' || !digit(1) || !digit(2)) return '\0';
  code_ = (head_[0] - '0') * 100 + (head_[1] - '0') * 10 + (head_[2] - '0');
  switch (head_[3]) {
    case '-':
      return '-';
    case ' ':
    case '\r':
    case '\n':
      return ' ';
    default:
      return '\0';
  }
}

}  // namespace classifier
