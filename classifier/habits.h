// How a client talks: the form of its commands, and what of it belongs to one transaction only.
// Bounded; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "classifier/message_sizes.h"
#include "classifier/smtp_command.h"
#include "classifier/trace.h"

namespace classifier {

class Habits {
 public:
  // A command was seen. `pipelined`: it began before the reply to the command before it.
  // `within_chunks`: it follows a chunk that was not the last one of its message.
  void command(const Command& command, bool pipelined, bool within_chunks);
  // The client spoke before the greeting.
  void early_talker() { dialogue_.early_talker = true; }
  // The session begins again with another client (XCLIENT).
  void forget_greeting() { dialogue_.greeting = Dialogue::Greeting::None; }
  // The transaction is over, or is no longer known. Forgets what belongs to it alone.
  void forget_transaction();

  const Dialogue& dialogue() const { return dialogue_; }
  // The greeting's name, at most Claims::kLongest bytes.
  const std::string& helo() const { return helo_; }
  // The sizes of the MAIL and RCPT commands since the last call.
  EnvelopeSizes take_envelope() { return std::exchange(envelope_, {}); }

 private:
  void greeting(const Command& command, std::string_view rest);
  void envelope(const Command& command, std::string_view rest, bool pipelined);

  Dialogue dialogue_;
  std::string helo_;
  EnvelopeSizes envelope_;
  bool capitals_ = false;     // a verb was written in capitals
  bool reset_asked_ = false;  // RSET since the last MAIL
  bool after_mail_ = false;   // no RCPT since MAIL
  bool after_helo_ = false;   // no command since EHLO or HELO
};

}  // namespace classifier
