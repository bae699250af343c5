// The seal of a header: another host says that it wrote the header, for this message, at this time.
//
//     X-Protocol-Pattern: mx2.example.org; pattern=bot-template; …;
//      seal=2026a,1764108000,
//      9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08; v=1
//
//     seal = "seal=" key "," time "," hmac     ; seconds since 1970; 64 hexadecimal digits
//     hmac = HMAC-SHA-256(key, "segmilter seal 1" LF key's name LF time LF identity header)
//
// `identity` is what the message is known by (identity.h), `header` the value without white space
// and without the seal: no value in it has any, and relays fold as they like.
//
// Reads what anybody may have sent. Pure functions; safe from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/seal/hmac.h"
#include "milter/seal/keys.h"

namespace seal {

using Seconds = std::chrono::seconds;  // since 1970

// A header of ours is shorter (header.max_runs of 1000 gives some 10 KB).
inline constexpr std::size_t kMostValue = 16 * 1024;
// The clocks of two hosts differ.
inline constexpr Seconds kAhead{300};

enum class Result : std::uint8_t {
  None,        // there is no header
  Good,        // ours, of this message, and not too old
  Unsigned,    // a header without a seal
  Malformed,   // not what a seal looks like
  UnknownKey,  // of a name that we do not have
  Wrong,       // another key, another header, or another message
  TooOld,
  Ahead,  // from the future
};
std::string_view name(Result result);

struct Sealed {
  std::string header;  // without white space and seal
  std::string key;
  Seconds time{};
  Digest hmac{};
};
// `reason`: Unsigned or Malformed where there is nothing to return.
std::optional<Sealed> parse(std::string_view value, Result& reason);

// The item "seal=…". `header`: the other items, with ';' between them and no white space.
std::string make(std::string_view header, const Digest& identity, const Key& key, Seconds now);

// Whether to believe a header with this value in a message with this identity.
Result check(std::string_view value, const Digest& identity, const std::vector<Key>& keys,
             Seconds now, Seconds max_age);

}  // namespace seal
