// The seal of a header. With it a host proves that it wrote this header, for this message, at this
// time. Another host of the same site checks the seal and then trusts the header.
//
//     X-Protocol-Pattern: mx2.example.org; pattern=bot-template; …;
//      seal=2026a,1764108000,
//      9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08; v=1
//
//     seal = "seal=" key "," time "," hmac     ; seconds since 1970; 64 hexadecimal digits
//     hmac = HMAC-SHA-256(key, "segmilter seal 1" LF key's name LF time LF identity header)
//
// `identity` is the digest of the message's own fields (identity.h). `header` is the header's value
// without white space and without the seal: none of the items contains white space, and a relay may
// fold the field differently.
//
// The header may come from anyone, so every length is checked. Pure functions; safe from any
// thread.
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

// segmilter's own headers are shorter: with header.max_runs = 1000 they have about 10 KB.
inline constexpr std::size_t kMostValue = 16 * 1024;
// How far the clocks of two hosts may differ. Chosen, not measured. A smaller limit would refuse
// seals of hosts whose clocks are not synchronised.
inline constexpr Seconds kAhead{300};

enum class Result : std::uint8_t {
  None,        // the message has no header
  Good,        // made with one of our keys, for this message, and not too old
  Unsigned,    // a header without a seal
  Malformed,   // the seal does not have the form shown above
  UnknownKey,  // the key's name is not in the key file
  Wrong,       // made with another key, for another header, or for another message
  TooOld,
  Ahead,  // the time is in the future
};
std::string_view name(Result result);

struct Sealed {
  std::string header;  // without white space and without the seal
  std::string key;
  Seconds time{};
  Digest hmac{};
};
// Splits a header's value. On failure returns nullopt and sets `reason` to Unsigned or Malformed.
std::optional<Sealed> parse(std::string_view value, Result& reason);

// Returns the item "seal=…". `header`: all other items, separated by ';', without white space.
std::string make(std::string_view header, const Digest& identity, const Key& key, Seconds now);

// Checks whether a header with this value may be trusted in a message with this identity.
Result check(std::string_view value, const Digest& identity, const std::vector<Key>& keys,
             Seconds now, Seconds max_age);

}  // namespace seal
