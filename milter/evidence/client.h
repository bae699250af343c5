// Asks the observing process what it saw: the filter's side of the evidence socket. One short
// connection a question, with a time limit over all of it; safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "classifier/trace.h"
#include "milter/evidence/question.h"

namespace evidence {

// What an observer's line, without its end, says about a message behind number `after`. Error, where
// it is no answer, or one about another message.
classifier::Trace read_answer(std::string_view line, std::uint32_t after);

class Client {
 public:
  // `socket` is the path of the evidence socket.
  Client(std::string socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}

  // The message in question. Never throws for a peer's sake: without evidence the trace is
  // State::Unobserved with the reason (NoSession, Ambiguous, Timeout, Error, or what else the
  // observer says).
  classifier::Trace ask(const Question& question) const;

 private:
  std::string socket_;
  std::chrono::milliseconds timeout_;
};

}  // namespace evidence
