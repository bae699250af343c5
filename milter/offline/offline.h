// Classifies recorded traffic: takes a capture file (pcap, pcapng), a file of traces or a log that
// contains traces, and returns one result for each message. It uses the same tracker, observer and
// classifier as live traffic. A pipe that is still being written gives each result when its message
// ends.
//
//     file ─► recorded/pcap_reader ─► recorded/tcp_assembly ─┐
//                        ┌─────────────────────────────────┘
//                        └─► classifier::Observer ─► classifier::classify() ─► Result
//
// Memory is bounded for inputs of every size, and so is the time for each byte of input. Any
// thread; several threads may classify at the same time.
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
  net::Endpoint client;  // all zero if the input is a trace and no log line names the client
  net::Endpoint server;  // all zero if the input is a trace
  std::string helo;      // the name of the client's EHLO in clear; any bytes, at most 256
  // Nanoseconds since 1970: when the message was complete, or for a log, when its line was written.
  // 0: not known.
  std::uint64_t time_ns = 0;
  std::uint64_t number = 0;   // the result's number in the whole run, from 1
  std::uint32_t message = 1;  // the message's number in its session, from 1
  classifier::Trace trace;
  classifier::Verdict verdict;
  policy::Decision decision;  // the filter's decision, if the breaker is closed
};

// The result of reading one file. Unreadable: nothing in the file could be understood (exit 66).
// Damaged: the results up to the damage were given, and `warning` says what is wrong and where
// (exit 1). A Good file may have a warning too, which says what was left out.
struct Outcome {
  enum class Kind { Good, Damaged, Unreadable };
  Kind kind = Kind::Good;
  std::string warning;      // "FILE: offset 1234: truncated packet"
  std::uint64_t bytes = 0;  // bytes of the file that were read
  std::uint64_t packets = 0;
  std::uint64_t messages = 0;
  bool stopped = false;  // the rest of a file was not read because Waiting::stop ended the reading
};

struct Options {
  classifier::Policy policy;
  config::Enforcement enforcement;
  Waiting waiting;
  // Called from time to time with the bytes read so far and the file's size (0: unknown).
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

using OnResult = std::function<void(Result&&)>;

// Reads `file`; its first bytes decide whether it is read as a capture or as text. `number` of its
// results is not set.
Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result);

}  // namespace offline
