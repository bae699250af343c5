// Asks the observing process what it saw: the filter's side of the evidence socket. One short
// connection a question, with a time limit over all of it; safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "classifier/sealed_message.h"
#include "classifier/trace.h"
#include "milter/net/address.h"

namespace evidence {

class Client {
 public:
  // `socket` is the path of the evidence socket.
  Client(std::string socket, std::chrono::milliseconds timeout)
      : socket_(std::move(socket)), timeout_(timeout) {}

  // The message of `client` that is being worked on: the first one that has ended, is not answered
  // and whose number is above `after` (the number of the last message this connection judged; 0 at
  // first). `sizes`: what this connection was shown of it. Never throws for a peer's sake: without
  // evidence the trace is State::Unobserved with the reason (NoSession, Timeout, Error, or what the
  // observer says).
  classifier::Trace ask(const net::Endpoint& client, std::uint32_t after,
                        const classifier::ShownSizes& sizes = {}) const;

 private:
  std::string socket_;
  std::chrono::milliseconds timeout_;
};

}  // namespace evidence
