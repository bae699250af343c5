// A message as the tracker tells of it. A plain value.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/claims.h"
#include "classifier/message_sizes.h"
#include "classifier/stream.h"
#include "classifier/trace.h"

namespace classifier {

// One message that was transferred to its end. Of its dialogue `early_data` and `chunks` tell of
// this message; the rest tells of the session so far. `split_command` and `quit_with_dot` need the
// segments and are the observer's.
//
// Landmarks where no blank line ends the header section: at a line that is no field, Postfix begins
// the body, so header_end == body_begin == the end of the last field; a message that ends within
// its header section has header_end there and body_begin 0.
struct Message {
  std::uint32_t ordinal = 1;  // 1-based; counts the messages that were transferred to their end
  Transfer transfer = Transfer::Data;
  std::vector<Span> spans;       // where its bytes lie; one span with DATA, one a chunk with BDAT
                                 // (neighbouring chunks are separated by their command lines;
                                 // a chunk of no bytes has none)
  std::vector<Tail> tails;       // how each span ends
  std::uint64_t size = 0;        // bytes in all spans, the terminator included
  bool may_lack_chunks = false;  // the first chunk stood behind a gap among commands
  bool cut = false;              // the stream ended within it
  Landmarks landmarks;
  Dialogue dialogue;  // as known when the message ended; segments add to it later
  Claims claims;      // text: to be used at once or thrown away, never stored with the trace
  // Each MAIL and RCPT since the message before, those that the server refuses among them: whether
  // it does is not known of all when the message ends.
  EnvelopeSizes envelope;
};

}  // namespace classifier
