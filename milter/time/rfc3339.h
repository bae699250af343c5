// Prints and parses times as in reports and logs: RFC 3339, in UTC, with milliseconds. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rfc3339 {

// Prints "2026-11-27T07:00:00.123Z". `ns`: nanoseconds since 1970.
std::string print_time(std::uint64_t ns);

// Parses an RFC 3339 time with a zone ("Z", "+01:00"), also with a zone without a colon, which
// journalctl prints. Returns nanoseconds since 1970; nullopt for other text and for times before
// 1970.
std::optional<std::uint64_t> parse_time(std::string_view text);

}  // namespace rfc3339
