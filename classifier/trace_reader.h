// A cursor over the text form of a trace. It keeps the first error and its byte. Used by trace_text
// only. A plain value, not thread-safe.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "classifier/enum_names.h"
#include "classifier/trace_text.h"

namespace classifier {

// Reads the text from left to right and keeps the first error. A function returns false once there
// is one. So calls can be joined with &&, and the error is examined at the end.
class TraceReader {
 public:
  explicit TraceReader(std::string_view text) : text_(text) {}

  bool at_end() const { return position_ == text_.size(); }
  std::size_t position() const { return position_; }
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  bool skip(char c) {
    if (at_end() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool fail(std::string message) { return fail_at(position_, std::move(message)); }
  bool fail_at(std::size_t offset, std::string message) {
    if (!error_) error_ = TraceError{offset, std::move(message)};
    return false;
  }
  const std::optional<TraceError>& error() const { return error_; }

  // Returns the text up to a character of `stop`, or up to the end.
  std::string_view token(std::string_view stop) {
    const std::size_t end = std::min(text_.find_first_of(stop, position_), text_.size());
    const std::string_view token = text_.substr(position_, end - position_);
    position_ = end;
    return token;
  }

  // Reads a decimal number without sign or leading zeros, from `least` to the largest T.
  template <typename T>
  bool number(T& value, T least = 0) {
    constexpr std::uint64_t most = std::numeric_limits<T>::max();
    const std::size_t begin = position_;
    std::uint64_t sum = 0;
    while (peek() >= '0' && peek() <= '9') {
      const auto digit = static_cast<std::uint64_t>(peek() - '0');
      if (sum > (most - digit) / 10) {
        return fail_at(begin, fmt::format("number is greater than {}", most));
      }
      sum = sum * 10 + digit;
      ++position_;
    }
    if (position_ == begin) return fail_at(begin, "a number should stand here");
    if (text_[begin] == '0' && position_ > begin + 1) {
      return fail_at(begin, "a number must not start with 0");
    }
    if (sum < least) return fail_at(begin, fmt::format("number is less than {}", least));
    value = static_cast<T>(sum);
    return true;
  }

  template <typename Enum, std::size_t N>
  bool choice(const std::array<std::string_view, N>& names, Enum& value) {
    const std::size_t begin = position_;
    const std::string_view text = token(" ");
    const auto found = find<Enum>(names, text);
    if (!found) {
      return fail_at(begin, fmt::format("should be one of {}", fmt::join(names, ", ")));
    }
    value = *found;
    return true;
  }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
  std::optional<TraceError> error_;
};

}  // namespace classifier
