// The keys of seals: a file of lines "ID:HEX", one key each, the first of which signs. Several, so
// that one can be replaced while mail under the old one is still on its way. '#' begins a comment
// line.
//
// Hexadecimal only: its digits are base64's too, so that a file which took both would read some
// keys in two ways.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/seal/secret.h"

namespace seal {

struct Key {
  std::string id;  // 1 to 32 letters, digits, '-' and '_'; it stands in the header
  Secret secret;   // 16 to 64 bytes
  bool operator==(const Key&) const = default;
};

inline constexpr std::size_t kMostKeys = 16;

struct KeyError {
  unsigned line = 0;
  std::string message;  // never with a part of a key
};
std::variant<std::vector<Key>, KeyError> parse_keys(std::string_view text);

// Refuses a file that its group may write, or that others than its owner and its group may read.
// Throws std::runtime_error "FILE: …" or "FILE:LINE: …".
std::vector<Key> read_keys(const std::string& file);

}  // namespace seal
