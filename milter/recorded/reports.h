// The messages of a connection, numbered and reported. The newest message is held until the server
// has answered it, because its end can still turn out to be ambiguous until then. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "classifier/observer.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

// The connection of a message, and the time at which the message ended.
struct Connection {
  TcpEnd client;
  TcpEnd server;
  std::string helo;  // name in the client's EHLO or HELO, in clear; at most 256 arbitrary bytes
  std::uint64_t time_ns = 0;  // since 1970; time of the packet that completed the message
};

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // A message, or one about which nothing can be said (State::Unobserved). Its claims are empty if
  // they were not seen.
  virtual void message(const Connection& connection, classifier::ObservedMessage&& message) = 0;
};

class Reports {
 public:
  // Requires: `sink` outlives the reports.
  explicit Reports(MessageSink& sink) : sink_(sink) {}

  // Holds the next message, and reports the one before it.
  void hold(Connection connection, classifier::ObservedMessage&& message) {
    release();
    message.trace.message = ++messages_;
    pending_ = Pending{std::move(connection), std::move(message)};
  }
  // Reports the message that is held, if any.
  void release() {
    if (!pending_) return;
    sink_.message(pending_->connection, std::move(pending_->message));
    pending_.reset();
  }
  // Drops the message that is held: its end was not an end. Returns whether one was held.
  bool withdraw() {
    if (!pending_) return false;
    pending_.reset();
    --messages_;
    return true;
  }
  // Reports a message about which only `trace` is known, at once.
  void unobserved(const Connection& connection, classifier::Trace&& trace) {
    release();
    trace.message = ++messages_;
    sink_.message(connection, {.trace = std::move(trace)});
  }

  // The number of messages that were reported or are held.
  std::uint32_t messages() const { return messages_; }

 private:
  struct Pending {
    Connection connection;
    classifier::ObservedMessage message;
  };
  MessageSink& sink_;
  std::uint32_t messages_ = 0;
  std::optional<Pending> pending_;
};

}  // namespace recorded
