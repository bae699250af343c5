// What a message's writes look like under TLS, where nobody sees the text: only their sizes.
//
// In clear a boundary is judged by where it lies; here by its company. A program that writes lines
// makes many small records, one that writes its header apart makes a small one in front of a large
// one, one that fills buffers makes equal ones. Nothing is hidden as Nagle hides it, so the whole
// list can be read; but the header's end has to be guessed. Pure; safe from any thread.
//
// Every guess is one of a shape that was recorded (the lab's senders under STARTTLS) or of the
// talk.
#pragma once

#include <cstdint>
#include <span>

namespace classifier {

enum class TlsShape : std::uint8_t {
  OneWrite,      // 18594                      and perhaps a terminator
  Segments,      // 5792 5792 1200             multiples of a full segment: Postfix
  Blocks,        // 4096 4096 2213             equal ones
  LineBuffer,    // 8135 8192 2285             filled with whole lines, just below 4096 or 8192
  Lines,         // 40 37 47 39 … 2 63
  HeadersApart,  // 300 34 88 7072 36 87 11268 38
  Template,      // 399 29 184 2817            a value of its own between two parts of the header
  Unknown,
};

// The largest usual buffer's end among `size` and the `slack` sizes below it; 0: none.
std::uint32_t buffer_within(std::uint32_t size, std::uint32_t slack);

// `writes`: the message's, without its terminator. `full`: payload of a full segment on this path;
// 0: unknown. `slack`: sizes may be so much smaller (CBC).
TlsShape shape_of(std::span<const std::uint32_t> writes, std::uint32_t full, std::uint32_t slack);

}  // namespace classifier
