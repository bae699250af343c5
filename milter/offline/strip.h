// A message as a line of characters: its bytes to scale, its segments' ends, and among them the
// ends of the program's writes.
//
//     ------|--+-------+-------|--+---     |  the program ended a write here
//                                          +  the network ended a segment here
//     -  bytes   =  sent again   ~  came late   ?  a hole in front
//
// Pure; safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace.h"

namespace offline {

// At most `width` characters; a message of few bytes is not drawn longer than it is. Where several
// ends fall on one character a write's end is shown rather than a segment's.
std::string strip(const classifier::Trace& trace, const classifier::Verdict& verdict,
                  std::size_t width);

// Where the recovered writes end, from the message's start; the message's own end is the last.
// Under TLS, whose segments have more bytes than the message, at that scale.
std::vector<std::uint64_t> write_ends(const classifier::Trace& trace,
                                      const classifier::Verdict& verdict);

}  // namespace offline
