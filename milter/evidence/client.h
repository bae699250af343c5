// The filter's side of the evidence socket: asks the observing process what it saw of a message.
// Each question uses a short connection of its own, with one time limit for all of it. Safe from
// any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "classifier/trace.h"
#include "milter/evidence/question.h"

namespace evidence {

// Parses an observer's answer, one line without its line end, about a message with a number above
// `after`. Returns a trace with reason Error if the line is not an answer or is about another
// message.
classifier::Trace read_answer(std::string_view line, std::uint32_t after);

// Parses an observer's answer to a question about a dialogue. Returns the words, as bits, or the
// reason why none is known.
std::variant<std::uint32_t, classifier::Reason> read_talk(std::string_view line);

class Client {
 public:
  // `socket`: the path of the evidence socket.
  Client(std::string socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}

  // Asks for the evidence of the message in question. Never throws because of the observer: without
  // evidence the trace is State::Unobserved, with a reason (NoSession, Ambiguous, Timeout, Error,
  // or another one that the observer gives).
  classifier::Trace ask(const Question& question) const;
  // Asks how the client has talked so far. Never throws because of the observer either.
  std::variant<std::uint32_t, classifier::Reason> ask_talk(const SessionQuestion& question) const;

 private:
  std::string socket_;
  std::chrono::milliseconds timeout_;
};

}  // namespace evidence
