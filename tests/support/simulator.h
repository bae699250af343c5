// Simulates a sender: what a program writes, what its TCP makes of it, and what the path does to
// the segments. The result are the arrivals that a receiver would see. It covers round trips,
// losses and stacks for which there are no recordings, and tests that need a hundred thousand
// messages.
//
//     Program (writes) ─► Stack (Nagle, PSH, send units) ─► Link (MSS, delay, rate, loss, order)
//                                                            ─► arrivals ─► Trace
//
// It is a model and not a TCP. It has enough of the sender's half to place every boundary where a
// real sender would (simulator_test.cc compares it with recordings). It sends one message at a time
// over a connection that was idle before. The seed decides everything; there is no clock. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "classifier/observer.h"
#include "classifier/trace.h"

namespace test {

using Random = std::mt19937;

// A message without its text: where its lines and fields end.
struct Letter {
  std::vector<std::uint32_t> lines;  // offset after each line, the blank line and the dot included
  classifier::Landmarks marks;
  std::uint32_t size = 0;  // with `.` CRLF

  bool line_ends_at(std::uint32_t offset) const;
};
// Makes header lines and then body lines of the usual lengths, with about `body` bytes of body.
// `received`: the first field is a Received, folded as servers fold it.
Letter write_letter(Random& random, std::uint32_t fields, std::uint32_t body, bool received);
// A text of the same length with the same lines.
std::string text_of(const Letter& letter);

struct Write {
  std::uint32_t size = 0;
  std::uint32_t pause_us = 5;  // how long the program waits before it
  bool more = false;           // MSG_MORE: not sent until something follows
};
// What a program gives to its TCP. The sizes add up to the letter's size, plus QUIT if that is sent
// together with the message.
struct Program {
  std::vector<Write> writes;
  bool quit = false;
};
// Cuts the letter's bytes at each offset. Requires: the offsets ascend and lie inside it. The end
// is added.
Program cut_at(const Letter& letter, const std::vector<std::uint32_t>& offsets);
Program in_blocks(const Letter& letter, std::uint32_t block, bool dot_apart = false);
Program by_line(const Letter& letter);

// Mail servers, writing as was observed with strace and in TLS records.
enum class Mta : std::uint8_t { Postfix, Exim, Sendmail, Qmail, Courier, OpenSmtpd, Chasquid };
inline constexpr int kMtas = 7;

enum class Nagle : std::uint8_t { Off, Minshall, Classic };

struct Stack {
  Nagle nagle = Nagle::Minshall;  // Classic: Windows, older BSD
  bool push_units = true;         // Linux: PSH also ends every send unit of two segments or more
  bool push_half_window = true;   // Linux: also what fills half the receiver's window
  std::uint32_t unit = 2;         // segments in a send unit
};

// From `at_us` on the path takes segments of another size. Larger ones are lost and cut again.
struct MtuChange {
  std::uint64_t at_us = 0;
  std::uint32_t mss = 0;
};

struct Link {
  std::uint32_t mss = 1448;     // payload of a full segment at the start
  std::uint32_t announced = 0;  // what the SYN allowed; 0: the same as mss
  bool timestamps = true;
  std::uint64_t rtt_us = 40'000;
  std::uint64_t rate = 0;         // bits a second; 0: no limit
  double loss = 0;                // share of segments that are lost, 0..1
  std::uint64_t jitter_us = 0;    // up to this much more delay, which can reorder segments
  std::uint32_t window = 65'535;  // the receiver's window
  std::vector<MtuChange> changes;
  bool tells_mtu = true;   // ICMP reports the new size; false: the sender finds it by timeouts
  bool at_sender = false;  // the sender's own route changes: it knows at once, both ways
};

// The segments of the client's payload in the order of arrival. Offset 0 is the message's first
// byte.
std::vector<classifier::Arrival> send(const Program& program, const Stack& stack, const Link& link,
                                      Random& random);
// The trace that the observer makes of them, without the text.
classifier::Trace trace_of(const std::vector<classifier::Arrival>& arrivals, const Letter& letter,
                           const Link& link);
// All three steps at once.
classifier::Trace simulate(const Letter& letter, const Program& program, const Stack& stack,
                           const Link& link, Random& random);

// How `mta` writes the letter over a path with this MSS. Sets in `stack` what it asks of its TCP.
Program mta_program(Mta mta, const Letter& letter, std::uint32_t mss, Stack& stack, Random& random);

// Typical links and stacks; on every tenth path the size changes in the middle of the message.
Link random_link(Random& random);
Stack random_stack(Random& random);

}  // namespace test
