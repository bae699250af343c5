#include "milter/seal/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

#include "milter/net/fd.h"
#include "text/lines.h"
#include "text/number.h"

namespace seal {
namespace {

using text::take_line;
using text::trimmed;

// Chosen: 16 of the longest keys take 2.6 KB, and the rest is for comments.
constexpr std::size_t kMostText = 16 * 1024;
constexpr std::size_t kMostId = 32;
constexpr std::size_t kLeastSecret = 16;
constexpr std::size_t kMostSecret = 64;  // HMAC hashes a longer key down to 32 bytes (RFC 2104)
constexpr std::string_view kIdCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::optional<Secret> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  SecretBytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto byte = text::number<std::uint8_t>(text.substr(i, 2), 16);
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<char>(*byte));
  }
  return Secret(std::move(bytes));
}

// Parses one line into `key`. Returns an empty text, or the reason why the line is wrong.
std::string read_line(std::string_view line, Key& key) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return "expected ID:HEX";
  const auto id = trimmed(line.substr(0, colon));
  if (id.empty() || id.size() > kMostId ||
      id.find_first_not_of(kIdCharacters) != std::string_view::npos) {
    return "a key's name has 1 to 32 letters, digits, '-' and '_'";
  }
  const auto secret = from_hex(trimmed(line.substr(colon + 1)));
  if (!secret) return "a key has an even number of hexadecimal digits (openssl rand -hex 32)";
  if (secret->size() < kLeastSecret || secret->size() > kMostSecret) {
    return "a key has 32 to 128 hexadecimal digits (openssl rand -hex 32)";
  }
  key = {std::string(id), *secret};
  return "";
}

[[noreturn]] void refuse(const std::string& file, const std::string& reason) {
  throw std::runtime_error(file + ": " + reason);
}

}  // namespace

std::variant<std::vector<Key>, KeyError> parse_keys(std::string_view text) {
  std::vector<Key> keys;
  unsigned number = 0;
  while (!text.empty()) {
    const auto line = trimmed(take_line(text));
    ++number;
    if (line.empty() || line.front() == '#') continue;
    Key key;
    if (auto reason = read_line(line, key); !reason.empty()) return KeyError{number, reason};
    const bool twice = std::any_of(keys.begin(), keys.end(),
                                   [&key](const Key& other) { return other.id == key.id; });
    if (twice) return KeyError{number, "key " + key.id + " occurs twice"};
    if (keys.size() == kMostKeys) {
      return KeyError{number, "more than " + std::to_string(kMostKeys) + " keys"};
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) return KeyError{number, "the file has no key"};
  return keys;
}

std::vector<Key> read_keys(const std::string& file) {
  const net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) < 0) {
    refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) refuse(file, "is not a file");
  if ((status.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    refuse(file, "other users can read it or its group can write it: chmod 0640 or less");
  }
  SecretBytes text(kMostText + 1);
  const auto got = ::read(fd.get(), text.data(), text.size());
  if (got < 0) refuse(file, std::string("cannot be read: ") + std::strerror(errno));
  if (static_cast<std::size_t>(got) > kMostText) refuse(file, "it is longer than 16 KiB");
  text.resize(static_cast<std::size_t>(got));
  auto result = parse_keys({text.data(), text.size()});
  if (const auto* error = std::get_if<KeyError>(&result)) {
    refuse(file + ":" + std::to_string(error->line), error->message);
  }
  return std::get<std::vector<Key>>(std::move(result));
}

}  // namespace seal
