// Which of a client's records under TLS are a message.
//
// Two who know it. The milter has seen the text: when Postfix asks it, all of the message has come
// and nothing was answered yet, so the message ends in the turn in hand, and its size says where it
// began (place_message). A capture has nobody to ask: there it is inferred from sizes and turns
// (TurnJudge).
//
//     DATA   the server said 354, so the message begins with the turn: bytes behind it are QUIT or
//            the next command. A client that does not wait for 354 has its commands in front of it
//     BDAT   nobody waits: commands and chunks share turns, and the message is found from its end
//            backwards; the length of `BDAT n LAST` follows from n, that of the envelope in front
//            of it is known from the milter
//
// A turn may hold more than one message. So its bytes have to be explained to the last one: where
// something is left in front of the message or behind it, it is not told which bytes are the
// message's.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "classifier/message_sizes.h"
#include "classifier/stream.h"
#include "classifier/tls_session.h"
#include "classifier/trace.h"

namespace classifier {

struct TlsMessage {
  std::vector<Span> spans;      // of the client's bytes as given: whole records, one span a turn
  std::vector<Record> records;  // plaintext
  std::vector<std::uint32_t> chunk_begins;  // BDAT: as in Trace
  Transfer transfer = Transfer::Data;
  Window window = Window::Inferred;
  std::uint64_t miss = 0;      // Window::Near: by how many bytes the sizes do not fit
  bool data_ahead = false;     // DATA was sent with the commands in front of it
  bool rcpt_ahead = false;     // so was RCPT
  bool early = false;          // the message was, too: nobody waited for 354
  bool split_command = false;  // a command and its CRLF came in two records, in this session
  bool quit_with_dot = false;  // the last record has QUIT behind the message
  bool cut = false;            // its end is not sure: the session ended before the server answered,
                               // or what the server said was not seen
  bool torn = false;           // not all of its records were seen: `records` are not known
};

// What a client has said since the message before, as far as the one in question may lie in it.
struct Turns {
  std::deque<const Turn*> kept;  // oldest first; the last one ends the message
  std::uint64_t forgotten = 0;   // plaintext bytes of earlier ones, which were not kept
  std::uint64_t greeting = 0;    // of the session's first turn: EHLO, and perhaps more
  // The server has spoken since the last one, which by BDAT may be about the commands in it.
  bool answered = false;
};

// `slack`: of the records' sizes; with one no place is exact. Lost: no turn holds a message, or
// none of about this size. Ambiguous: one does, and something else that may be another message.
std::variant<TlsMessage, Reason> place_message(const Turns& turns, const ShownSizes& shown,
                                               std::uint32_t slack = 0);

// `DATA`, `QUIT`, `RSET` or `NOOP` on its own, as far as sizes with this `slack` tell.
bool is_four_letters(const Turn& turn, std::uint32_t slack);
// A command and its CRLF in two records. Requires exact sizes.
bool splits_command(const Turn& turn);

// Reads a session's turns as commands and messages.
class TurnJudge {
 public:
  // The server has answered `turn`. A message is held back until what follows tells whether QUIT
  // came with it. `slack`: of the records' sizes.
  void turn(Turn&& turn, std::uint32_t slack);
  void more_answers() { ++answers_; }
  // Behind the last turn it may have said more than was seen.
  void missed_answers() { missed_answers_ = true; }
  // A next turn began: no QUIT came with the message that is held back.
  std::optional<TlsMessage> next_turn() { return take(false); }
  // Both streams have ended; `open` is the turn that nobody answered, if it is one.
  std::optional<TlsMessage> finish(Turn&& open, std::uint32_t slack);

  // The message that is held back begins here; else nothing is held.
  std::optional<std::uint64_t> pending_from() const;

 private:
  // What the client's next turn is:
  //
  //     Greeting ──► Envelope ──DATA on its own──► BehindData ──message, or a short turn──►
  //     Envelope
  //                   │    ▲
  //                   └────┘ a turn of a message's size is one; any other is commands
  enum class Part : std::uint8_t { Greeting, Envelope, BehindData };

  std::optional<TlsMessage> take(bool quit_with_dot);

  Part part_ = Part::Greeting;
  std::uint32_t envelope_turns_ = 0;  // of this transaction
  bool split_command_ = false;
  std::optional<TlsMessage> pending_;
  std::uint32_t answers_ = 0;    // the server's records since the last turn
  bool missed_answers_ = false;  // there may be others
};

}  // namespace classifier
