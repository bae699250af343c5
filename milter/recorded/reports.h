// What comes out of a connection: a report on each message, numbered. The last one is held until
// the server has answered it, because until then its end may turn out to be ambiguous.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "classifier/observer.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

// Whose message it was, and when it ended.
struct Connection {
  TcpEnd client;
  TcpEnd server;
  std::string helo;  // the name that the client said in clear; at most 256 bytes, any bytes
  std::uint64_t time_ns = 0;  // since 1970, of the packet with which the message was complete
};

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  // A message, or that there was one of which nothing can be said (State::Unobserved). Its claims
  // are empty where they were not seen.
  virtual void message(const Connection& connection, classifier::ObservedMessage&& message) = 0;
};

class Reports {
 public:
  // Requires: `sink` outlives the reports.
  explicit Reports(MessageSink& sink) : sink_(sink) {}

  // The next message, which is held; the one before it is reported.
  void hold(Connection connection, classifier::ObservedMessage&& message) {
    release();
    message.trace.message = ++messages_;
    pending_ = Pending{std::move(connection), std::move(message)};
  }
  // The message that is held, if one is, is reported.
  void release() {
    if (!pending_) return;
    sink_.message(pending_->connection, std::move(pending_->message));
    pending_.reset();
  }
  // The message that is held did not end where it was said to: it is none. Whether one was held.
  bool withdraw() {
    if (!pending_) return false;
    pending_.reset();
    --messages_;
    return true;
  }
  // A message of which nothing but `trace` can be said, which is reported at once.
  void unobserved(const Connection& connection, classifier::Trace&& trace) {
    release();
    trace.message = ++messages_;
    sink_.message(connection, {.trace = std::move(trace)});
  }

  // So many were reported or are held.
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
