// The keys of seals. The file has one key a line, "ID:HEX". The first key signs; all of them are
// accepted in checks. So a key can be replaced while mail that was signed with the old one is still
// in a queue. A line that begins with '#' is a comment.
//
// Keys are hexadecimal only. Hexadecimal digits are also valid base64, so if both were allowed,
// some keys could be read in two ways.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/seal/secret.h"

namespace seal {

struct Key {
  std::string id;  // 1 to 32 letters, digits, '-' and '_'; it appears in the header
  Secret secret;   // 16 to 64 bytes
  bool operator==(const Key&) const = default;
};

// Chosen, not measured: a site needs two keys while it replaces one. More would only cost memory.
inline constexpr std::size_t kMostKeys = 16;

struct KeyError {
  unsigned line = 0;
  std::string message;  // never contains a part of a key
};
// Pure. Returns the keys, or the first error.
std::variant<std::vector<Key>, KeyError> parse_keys(std::string_view text);

// Reads the key file. Refuses a file that its group may write, or that anyone besides its owner and
// its group may read. Throws std::runtime_error "FILE: …" or "FILE:LINE: …".
std::vector<Key> read_keys(const std::string& file);

}  // namespace seal
