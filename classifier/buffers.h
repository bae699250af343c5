// The program's buffer: where it began to fill, and its size. For features alone. Pure functions;
// any thread.
#pragma once

#include <cstdint>

#include "classifier/features.h"
#include "classifier/stream.h"

namespace classifier {

// Where the program's buffer began to fill: with the message or the chunk, or with the command in
// front of it in the same segment (`BDAT 1234 LAST`, or a whole dialogue sent ahead).
//
//     95<929 1024 1024      MAIL, RCPT, DATA and the message in buffers of 1024
struct BufferStart {
  std::uint32_t chunk = 0;  // message bytes in front of the chunk
  std::uint32_t lead = 0;   // bytes of commands in front of it

  // Bytes since then, by whichever makes a buffer's end of `offset`; else the offset.
  std::uint32_t run(std::uint32_t offset) const {
    const std::uint32_t in_chunk = offset - chunk;
    for (const std::uint32_t run : {offset, in_chunk, in_chunk + lead}) {
      if (ends_buffer(run)) return run;
    }
    return offset;
  }
};

// Sets Features::block and on_grid: the largest size all cuts on the known grid are multiples of, or
// a size of its own that repeats.
void find_block(Features& features);

}  // namespace classifier
