// Times as rows and logs have them: RFC 3339 in UTC, to the millisecond. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace offline {

// "2026-11-27T07:00:00.123Z"; `ns` counts from 1970.
std::string print_time(std::uint64_t ns);

// Reads any RFC 3339 time with a zone ("Z", "+01:00"), also one whose zone has no colon, as
// journalctl prints it. Nanoseconds since 1970; nullopt for anything else and for times before it.
std::optional<std::uint64_t> parse_time(std::string_view text);

}  // namespace offline
