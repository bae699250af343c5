// The shape of a message's writes under TLS, where only their sizes are known and not the text.
//
// In clear a boundary is judged by its place in the text. Here it is judged by the sizes around it.
// A program that writes lines makes many small records. A program that writes its header apart
// makes a small record before a large one. A program that fills buffers makes equal ones. Nagle's
// algorithm hides no record, so the whole list is known. But the end of the header has to be
// guessed.
//
// Each shape was recorded (tests/data, under STARTTLS) or is in the talk. Pure; safe from any
// thread.
#pragma once

#include <cstdint>
#include <span>

namespace classifier {

enum class TlsShape : std::uint8_t {
  OneWrite,      // 18594                      perhaps with a terminator
  Segments,      // 5792 5792 1200             multiples of a full segment: Postfix
  Blocks,        // 4096 4096 2213             equal sizes
  LineBuffer,    // 8135 8192 2285             filled with whole lines, just below 4096 or 8192
  Lines,         // 40 37 47 39 … 2 63
  HeadersApart,  // 300 34 88 7072 36 87 11268 38
  Template,      // 399 29 184 2817            one value between two parts of the header
  Unknown,
};

// The largest size from `size - slack` to `size` at which a usual buffer ends; 0: there is none.
std::uint32_t buffer_within(std::uint32_t size, std::uint32_t slack);

// `writes`: the sizes of the message's writes without its terminator. `full`: payload of a full
// segment on this path; 0: unknown. `slack`: each size may be smaller by up to this (CBC).
TlsShape shape_of(std::span<const std::uint32_t> writes, std::uint32_t full, std::uint32_t slack);

}  // namespace classifier
