// Reads the turns of a session under TLS as commands and messages, where no milter has seen the
// text: in captures. Only sizes and turns say what is a message. tls_message.h has the other way.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "classifier/tls_message.h"
#include "classifier/tls_session.h"

namespace classifier {

class TurnJudge {
 public:
  // The server has answered `turn`. A message is kept back until it is known whether QUIT came with
  // it. `slack`: of the records' sizes.
  void turn(Turn&& turn, std::uint32_t slack);
  void more_answers() { ++answers_; }
  // After the last turn the server may have said more than was seen.
  void missed_answers() { missed_answers_ = true; }
  // The next turn began. So no QUIT came with the message that is kept back.
  std::optional<TlsMessage> next_turn() { return take(false); }
  // Both streams have ended. `open`: the turn that was not answered; it may be empty.
  std::optional<TlsMessage> finish(Turn&& open, std::uint32_t slack);

  // The offset at which the message that is kept back begins; empty: no message is kept back.
  std::optional<std::uint64_t> pending_from() const;

 private:
  // What the client's next turn is:
  //
  //     Greeting ──► Envelope ──DATA alone──► BehindData ──message, or a short turn──► Envelope
  //                   │    ▲
  //                   └────┘ a turn that is as long as a message is a message; others are commands
  enum class Part : std::uint8_t { Greeting, Envelope, BehindData };

  std::optional<TlsMessage> take(bool quit_with_dot);

  Part part_ = Part::Greeting;
  std::uint32_t envelope_turns_ = 0;  // turns of this transaction
  bool split_command_ = false;
  std::optional<TlsMessage> pending_;
  std::uint32_t answers_ = 0;    // the server's records since the last turn
  bool missed_answers_ = false;  // the server may have sent others
};

}  // namespace classifier
