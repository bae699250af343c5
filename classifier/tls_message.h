// Finds which of a client's records under TLS are a message.
//
// There are two ways to know. Live, the milter has seen the text. When Postfix asks it, the whole
// message has come and was not answered yet. So the message ends in the current turn, and its size
// shows where it began (place_message). For a capture there is no milter. There the message is
// inferred from sizes and turns (turn_judge.h).
//
//     DATA   The server said 354, so the message begins with the turn. Bytes after it are QUIT or
//            the next command. If a client does not wait for 354, the commands come before it.
//     BDAT   The client does not wait: commands and chunks share turns. So the message is found
//            from its end backwards. The length of `BDAT n LAST` follows from n. The length of the
//            envelope before it is known from the milter.
//
// A turn may hold more than one message. So all of its bytes must be explained. If bytes are left
// before or after the message, it is not known which bytes are the message's.
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
  std::vector<Span> spans;      // of the client's bytes as given: whole records, one span per turn
  std::vector<Record> records;  // sizes of the plaintext
  std::vector<std::uint32_t> chunk_begins;  // BDAT: as in Trace
  Transfer transfer = Transfer::Data;
  Window window = Window::Inferred;
  std::uint64_t miss = 0;      // Window::Near: by how many bytes the sizes do not fit
  bool data_ahead = false;     // DATA was sent together with the commands before it
  bool rcpt_ahead = false;     // RCPT was sent together with MAIL
  bool early = false;          // the message was sent before the 354
  bool split_command = false;  // a command and its CRLF came in two records, in this session
  bool quit_with_dot = false;  // the last record has QUIT after the message
  bool cut = false;  // its end is not certain: the session ended before the server answered, or the
                     // answer was not seen
  bool torn = false;  // some of its records were not seen: `records` is not known
};

// What a client has said since the previous message, as far as the current one may lie in it.
struct Turns {
  std::deque<const Turn*> kept;  // oldest first; the last one ends the message
  std::uint64_t forgotten = 0;   // plaintext bytes of earlier turns, which were dropped
  std::uint64_t greeting = 0;    // bytes of the session's first turn: EHLO, and perhaps more
  // The server has spoken since the last turn. With BDAT, that may answer the commands in it.
  bool answered = false;
};

// `slack`: of the records' sizes; if it is not 0, no place is exact. Lost: no turn holds a message
// of about this size. Ambiguous: a turn holds one, and also something that may be another message.
std::variant<TlsMessage, Reason> place_message(const Turns& turns, const ShownSizes& shown,
                                               std::uint32_t slack = 0);

// `DATA`, `QUIT`, `RSET` or `NOOP` with CRLF.
inline constexpr std::uint32_t kFourLetters = 6;
// A turn of at least this size after an envelope is a message. Commands are shorter, even with
// several recipients.
inline constexpr std::uint64_t kLeastMessage = 300;

// Adds bytes [begin, begin + size) of a turn's plaintext to the message, as records.
void append(const Turn& turn, std::uint64_t begin, std::uint64_t size, TlsMessage& message);
// Is the turn `DATA`, `QUIT`, `RSET` or `NOOP` alone, as far as sizes with this `slack` show it?
bool is_four_letters(const Turn& turn, std::uint32_t slack);
// Did a command and its CRLF come in two records? Requires: the sizes are exact.
bool splits_command(const Turn& turn);

}  // namespace classifier
