// Which of a client's records under TLS are a message.
//
// Two who know it. The milter has seen the text: when Postfix asks it, all of the message has come
// and nothing was answered yet, so the message ends in the turn in hand, and its size says where it
// began (place_message). A capture has nobody to ask: there it is inferred from sizes and turns
// (TurnJudge).
//
//     DATA   the server said 354, so the message begins with the turn: bytes behind it are QUIT or
//            the next command
//     BDAT   nobody waits: commands and chunks share turns, and the message is found from its end
//            backwards; the length of `BDAT n LAST` follows from n, that of the envelope in front
//            of it is known from the milter
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "classifier/stream.h"
#include "classifier/tls_session.h"
#include "classifier/trace.h"

namespace classifier {

struct SealedMessage {
  std::vector<Span> spans;      // of the client's bytes as given: whole records, one span a turn
  std::vector<Record> records;  // plaintext
  std::vector<std::uint32_t> chunk_begins;  // BDAT: as in Trace
  Transfer transfer = Transfer::Data;
  Window window = Window::Inferred;
  std::uint64_t miss = 0;      // Window::Near: by how many bytes the sizes do not fit
  bool data_ahead = false;     // DATA was sent with the commands in front of it
  bool rcpt_ahead = false;     // so was RCPT
  bool split_command = false;  // a command and its CRLF came in two records, in this session
  bool quit_with_dot = false;  // the last record has QUIT behind the message
  bool cut = false;            // the session ended before the server answered
};

// What a milter was shown of a message, in bytes as SMTP carries them (CRLF line ends).
struct ShownSizes {
  std::uint64_t header = 0;           // all fields and the blank line
  std::optional<std::uint64_t> body;  // nothing: not counted
  std::uint64_t dots = 0;             // lines that begin with one: doubled by DATA
  // MAIL and each RCPT that was taken, as RFC 5321 spells them, line ends included; 0: not known.
  // What else was said in front of the message (a refused recipient) is not shown.
  std::uint64_t envelope = 0;
};

// What DATA and BDAT carry of it. Require: the body was counted.
std::uint64_t size_by_data(const ShownSizes& sizes);
std::uint64_t size_by_bdat(const ShownSizes& sizes);
// By how much a message of `size` bytes may have more or less than is shown of it: Postfix shows
// CRLF where the client may have sent LF, and what it strips is not shown.
std::uint64_t most_miss(std::uint64_t size);

// `turns`: of this session, oldest first, the last of them ends the message; those in front of the
// message are commands. `answered`: the server has spoken since the last one, which by BDAT may be
// about the commands in it. `slack`: of the records' sizes; with one no place is exact. Nothing: no
// turn holds a message, or none of about this size.
std::optional<SealedMessage> place_message(const std::deque<const Turn*>& turns,
                                           const ShownSizes& sizes, std::uint32_t slack = 0,
                                           bool answered = false);

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
  // A next turn began: no QUIT came with the message that is held back.
  std::optional<SealedMessage> next_turn() { return take(false); }
  // Both streams have ended; `open` is the turn that nobody answered, if it is one.
  std::optional<SealedMessage> finish(Turn&& open, std::uint32_t slack);

  // The message that is held back begins here; else nothing is held.
  std::optional<std::uint64_t> held_from() const;

 private:
  // What the client's next turn is:
  //
  //     Greeting ──► Envelope ──DATA on its own──► BehindData ──message, or a short turn──►
  //     Envelope
  //                   │    ▲
  //                   └────┘ a turn of a message's size is one; any other is commands
  enum class Part : std::uint8_t { Greeting, Envelope, BehindData };

  std::optional<SealedMessage> take(bool quit_with_dot);

  Part part_ = Part::Greeting;
  std::uint32_t envelope_turns_ = 0;  // of this transaction
  bool split_command_ = false;
  std::optional<SealedMessage> held_;
  std::uint32_t answers_ = 0;  // the server's records since the last turn
};

}  // namespace classifier
