// A sender that is not there: what a program writes, what its TCP makes of it and what the path
// does to that, as the arrivals a receiver would see. For round trips, losses and stacks that
// nobody recorded, and for tests that need a hundred thousand messages.
//
//     Program (writes) ─► Stack (Nagle, PSH, send units) ─► Link (MSS, delay, rate, loss, order)
//                                                            ─► arrivals ─► Trace
//
// It is a model and not a TCP: enough of the sender's half to place every boundary where a real one
// would (simulator_test.cc holds it against the recordings), one message at a time, with the
// connection idle before it. Everything is decided by the seed; no clock. Not thread-safe.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "classifier/observer.h"
#include "classifier/trace.h"

namespace test {

using Random = std::mt19937;

// A message without words: where its lines and fields end.
struct Letter {
  std::vector<std::uint32_t> lines;  // offset behind each line, the blank one and the dot included
  classifier::Landmarks marks;
  std::uint32_t size = 0;  // with `.`CRLF

  bool line_ends_at(std::uint32_t offset) const;
};
// Header lines and then body lines of the usual lengths; about `body` bytes of body. `received`:
// the first field is a Received, folded as servers fold it.
Letter write_letter(Random& random, std::uint32_t fields, std::uint32_t body, bool received);
// Bytes that look like it; as long as it and cut into lines as it is.
std::string text_of(const Letter& letter);

struct Write {
  std::uint32_t size = 0;
  std::uint32_t pause_us = 5;  // what the program does before it
  bool more = false;           // MSG_MORE: not sent until something follows
};
// What a program hands to its TCP; the sizes add up to the letter's, and QUIT when it is sent
// along.
struct Program {
  std::vector<Write> writes;
  bool quit = false;
};
// Cuts the letter's bytes at each offset, which ascend and lie inside it; the end is added.
Program cut_at(const Letter& letter, const std::vector<std::uint32_t>& offsets);
Program in_blocks(const Letter& letter, std::uint32_t block, bool dot_apart = false);
Program by_line(const Letter& letter);

// Mail servers as they were seen to write (strace, TLS records: senders.md).
enum class Mta : std::uint8_t { Postfix, Exim, Sendmail, Qmail, Courier, OpenSmtpd, Chasquid };
inline constexpr int kMtas = 7;

enum class Nagle : std::uint8_t { Off, Minshall, Classic };

struct Stack {
  Nagle nagle = Nagle::Minshall;  // Classic: Windows, older BSD
  bool push_units = true;         // Linux: PSH also ends every send unit of two segments or more
  bool push_half_window = true;   // Linux: and what fills half the receiver's window
  std::uint32_t unit = 2;         // segments in a send unit
};

// The path takes other sizes from then on. What is larger dies and is cut again.
struct MtuChange {
  std::uint64_t at_us = 0;
  std::uint32_t mss = 0;
};

struct Link {
  std::uint32_t mss = 1448;     // payload of a full segment at the start
  std::uint32_t announced = 0;  // what the SYN allowed; 0: the same
  bool timestamps = true;
  std::uint64_t rtt_us = 40'000;
  std::uint64_t rate = 0;         // bits a second; 0: no limit
  double loss = 0;                // of segments, 0..1
  std::uint64_t jitter_us = 0;    // up to this much more delay; more than a gap reorders
  std::uint32_t window = 65'535;  // the receiver's
  std::vector<MtuChange> changes;
  bool tells_mtu = true;   // ICMP comes back; else the sender finds out by time-outs
  bool at_sender = false;  // the sender's own route changes: it knows at once, both ways
};

// Segments of the client's payload in order of arrival; offset 0 is the message's first byte.
std::vector<classifier::Arrival> send(const Program& program, const Stack& stack, const Link& link,
                                      Random& random);
// What the observer makes of them, without the text.
classifier::Trace trace_of(const std::vector<classifier::Arrival>& arrivals, const Letter& letter,
                           const Link& link);
// All three at once.
classifier::Trace simulate(const Letter& letter, const Program& program, const Stack& stack,
                           const Link& link, Random& random);

// How `mta` writes the letter over a path of this MSS, and what it asks of its TCP in `stack`.
Program mta_program(Mta mta, const Letter& letter, std::uint32_t mss, Stack& stack, Random& random);

// Links and stacks as the world has them; every tenth path changes its size on the way.
Link random_link(Random& random);
Stack random_stack(Random& random);

}  // namespace test
