// Draws a message as one line of characters, to scale: its bytes, the ends of its segments, and the
// ends of the program's writes.
//
//     ------|--+-------+-------|--+---     |  the program ended a write here
//                                          +  the network ended a segment here
//     -  bytes   =  retransmitted   ~  came late   ?  bytes before are missing
//
// Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace.h"

namespace page {

// Returns at most `width` characters; a short message gets a short strip. If several ends fall on
// one character, the end of a write is preferred to the end of a segment.
std::string strip(const classifier::Trace& trace, const classifier::Verdict& verdict,
                  std::size_t width);

// The ends of the recovered writes, in bytes from the message's start; the last one is the
// message's end. Under TLS the segments have more bytes than the message, so the ends are scaled to
// the segments' bytes.
std::vector<std::uint64_t> write_ends(const classifier::Trace& trace,
                                      const classifier::Verdict& verdict);

}  // namespace page
