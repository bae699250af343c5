// A sighting as the filter sends it to the memory process: one datagram of a socket pair.
//
//     version 1 | flags 1 | codes 9 | time 8 | score 8 | confidence 8 | block 4 | mss 4
//     address 16, port 2                                  where a client is known
//     queue id, listener, gait                            a length in 1 byte, then the text
//     terms 1, and of each: sign 1, weight 4, about       the last one as a text above
//     added terms 1, and of each: kind, weight 4          the kind as a text above
//     trace                                               a length in 2 bytes, then its text form
//
// Numbers are little-endian. Both ends are of one program, because an upgrade makes a pair of its
// own; the version guards against a mistake. The reader still trusts nothing that it reads: each
// length, code and number is checked, and the trace is parsed.
// Pure functions; safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "milter/memory/sighting.h"

namespace memory {

// The longest datagram, and the longest text of a trace in it, in bytes.
inline constexpr std::size_t kMostBytes = 64 * 1024;
inline constexpr std::size_t kMostTraceText = 48 * 1024;
// The last millisecond of the year 9999, UTC: a later time has no date of eight digits.
inline constexpr std::int64_t kLatestTime = 253'402'300'799'999;

// Never longer than kMostBytes. Of a trace whose text is longer than kMostTraceText only the first
// segments and records are written, as `partial` with the reason `full`. Of the reasons of the
// verdict the terms are written; the others, and the recovered writes, follow from the trace.
std::string to_bytes(const Sighting& sighting);

// Nothing: these bytes are not a sighting.
std::optional<Sighting> from_bytes(std::string_view bytes);

}  // namespace memory
