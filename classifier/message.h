// A message as the tracker reports it. A plain value.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/claims.h"
#include "classifier/message_sizes.h"
#include "classifier/stream.h"
#include "classifier/trace.h"

namespace classifier {

// One message that was transferred to its end. In its dialogue, `early_data` and `chunks` belong to
// this message; the rest describes the session so far. `split_command` and `quit_with_dot` need the
// segments, so the observer sets them.
//
// Landmarks where no blank line ends the header section: Postfix begins the body at a line that is
// no field. Then header_end == body_begin == the end of the last field. If the message ends within
// its header section, header_end is the end of the last field and body_begin is 0.
struct Message {
  std::uint32_t ordinal = 1;  // 1-based; counts the messages that were transferred to their end
  Transfer transfer = Transfer::Data;
  std::vector<Span> spans;  // where its bytes lie; one span with DATA, one per chunk with BDAT (a
                            // command line separates chunks; a chunk of no bytes has no span)
  std::vector<Tail> tails;  // how each span ends
  std::uint64_t size = 0;   // bytes in all spans, the terminator included
  bool may_lack_chunks = false;  // the first chunk came after a gap among commands
  bool cut = false;              // the stream ended within it
  Landmarks landmarks;
  Dialogue dialogue;  // as known when the message ended; the observer adds to it
  Claims claims;      // text: it must be used at once, never stored with the trace
  // The sizes of each MAIL and RCPT since the previous message. Refused commands are among them,
  // because not every reply has come when the message ends.
  EnvelopeSizes envelope;
};

}  // namespace classifier
