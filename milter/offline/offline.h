// Classification of recorded traffic: a capture file (pcap, pcapng) or a file of traces goes in, a
// result a message comes out, by the same tracker, observer and classifier as live.
//
//     file ─► capture/pcap_reader ─► capture/tcp_assembly ─► classifier::Observer ─► classify() ─►
//     Result
//
// Bounded memory on a file of any size; bounded time a byte, whatever the file holds. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/net/address.h"

namespace offline {

struct Result {
  std::string file;      // as named on the command line; "-" is standard input
  net::Endpoint client;  // all zero where the input is a trace
  net::Endpoint server;
  std::uint32_t message = 1;  // 1-based, in its session
  classifier::Trace trace;
  classifier::Verdict verdict;
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
};

struct Options {
  classifier::Policy policy;
  // Called now and then with the bytes read so far and the file's size (0: unknown).
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

using OnResult = std::function<void(Result&&)>;

// Reads `file`, which is told to be a capture or a list of traces by its first bytes.
Outcome classify_file(const std::string& file, const Options& options, const OnResult& on_result);

}  // namespace offline
