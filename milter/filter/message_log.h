// The log line of a message: the facts of its record, in the order in which they are read.
#pragma once

#include "milter/filter/record.h"

namespace filter {

// Writes one line (with level debug a second one, with the trace). No sender, recipient or content:
// the name in EHLO is the only thing that the client chose.
class MessageLog final : public RecordSink {
 public:
  void take(const Record& record, const config::Config& settings) override;
};

}  // namespace filter
