// Classification of recorded traffic: a capture file (pcap, pcapng), a file of traces or a log with
// traces in it goes in, a result a message comes out, by the same tracker, observer and classifier
// as live. A pipe that is still written to gives its results as its messages end.
//
//     file ─► recorded/pcap_reader ─► recorded/tcp_assembly ─┐
//                        ┌─────────────────────────────────┘
//                        └─► classifier::Observer ─► classifier::classify() ─► Result
//
// Bounded memory on an input of any size; bounded time a byte, whatever it holds. Any thread, and
// several at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/config/config.h"
#include "milter/net/address.h"
#include "milter/offline/input.h"
#include "milter/policy/decision.h"

namespace offline {

struct Result {
  std::string file;      // as named on the command line; "-" is standard input
  net::Endpoint client;  // all zero where the input is a trace and no log tells of it
  net::Endpoint server;  // all zero where the input is a trace
  std::string helo;      // the name that the client said in clear; any bytes, at most 256 of them
  std::uint64_t time_ns = 0;  // since 1970: when the message was complete; of a log's line when it
                              // was written; 0: not known
  std::uint64_t number = 0;   // 1-based, in the run: no two rows have the same
  std::uint32_t message = 1;  // 1-based, in its session
  classifier::Trace trace;
  classifier::Verdict verdict;
  policy::Decision decision;  // what the filter would have done, the breaker apart
};

// How reading a file went. Unreadable: no byte of it made sense (exit 66). Damaged: what could be
// read was given, `warning` says what is wrong and where (exit 1). A Good file may have a warning
// too: what was left out of it.
struct Outcome {
  enum class Kind { Good, Damaged, Unreadable };
  Kind kind = Kind::Good;
  std::string warning;      // "FILE: offset 1234: truncated packet"
  std::uint64_t bytes = 0;  // of the file that were read
  std::uint64_t packets = 0;
  std::uint64_t messages = 0;
  bool stopped = false;  // a file whose rest was not read, because Waiting::stop said so
};

struct Options {
  classifier::Policy policy;
  config::Enforcement enforcement;
  Waiting waiting;
  // Called now and then with the bytes read so far and the file's size (0: unknown).
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

using OnResult = std::function<void(Result&&)>;

// Reads `file`, whose first bytes tell whether it is a capture or text. `number` of its results is
// not set.
Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result);

}  // namespace offline
