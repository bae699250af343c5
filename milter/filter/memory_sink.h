// Tells the process memory of each judged message, over the socket pair that the supervisor has made.
// It never waits: while memory is away, stopped or slow the socket fills up, and what no longer fits is
// dropped and counted. Safe from any thread.
#pragma once

#include "milter/filter/record.h"
#include "milter/memory/counters.h"

namespace filter {

class MemorySink final : public RecordSink {
 public:
  // `socket`: the filter's end of the pair, borrowed. `counters` outlives this.
  MemorySink(int socket, memory::Counters& counters) : socket_(socket), counters_(counters) {}

  void take(const Record& record, const config::Config& settings) override;

 private:
  const int socket_;
  memory::Counters& counters_;
};

}  // namespace filter
