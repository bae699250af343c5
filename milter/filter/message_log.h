// The log line of a message: the facts of its record, in the order in which people read them.
#pragma once

#include "milter/filter/record.h"

namespace filter {

// Writes one line; at level debug a second line with the trace. The lines have no sender, recipient
// or content. The name in EHLO is the only text that the client chose.
class MessageLog final : public RecordSink {
 public:
  void take(const Record& record, const config::Config& settings) override;
};

}  // namespace filter
