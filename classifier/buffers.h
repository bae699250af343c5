// The program's buffer: where it began to fill, and its size. Used by the features only. Pure
// functions; any thread.
#pragma once

#include <cstdint>

#include "classifier/features.h"
#include "classifier/stream.h"

namespace classifier {

// Where the program's buffer began to fill: with the message, with the chunk, or with the command
// before it in the same segment (`BDAT 1234 LAST`, or a whole dialogue that was sent ahead).
//
//     95<929 1024 1024      MAIL, RCPT, DATA and the message in buffers of 1024
struct BufferStart {
  std::uint32_t chunk = 0;  // message bytes before the chunk
  std::uint32_t lead = 0;   // bytes of commands before the chunk in its first segment

  // Bytes since the beginning for which `offset` is the end of a buffer. If there is none:
  // `offset`.
  std::uint32_t run(std::uint32_t offset) const {
    const std::uint32_t in_chunk = offset - chunk;
    for (const std::uint32_t run : {offset, in_chunk, in_chunk + lead}) {
      if (ends_buffer(run)) return run;
    }
    return offset;
  }
};

// Sets Features::block and on_grid. The block is the largest usual size of which all cuts on the
// grid are multiples. Else it is another size that repeats.
void find_block(Features& features);

}  // namespace classifier
