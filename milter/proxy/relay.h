// One direction of a session: bytes from one socket to the other, unchanged and in order.
//
//     source ──recv──► the worker's scratch buffer ──send──► sink
//                            │ what the sink would not take
//                            ▼
//                       this relay's backlog (bounded; while it holds bytes, nothing is read)
//
// Passive: the session calls it when a socket is ready, and asks what it wants next. It uses plain
// recv and send, not bufferevents: those cut reads at 4096 bytes and would add boundaries.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace proxy {

class Relay {
 public:
  // Open ──source ended──► Flushing ──backlog sent, sink shut down for writing──► Done
  //   └──────────────────────────┴──the sink takes no more──► Broken
  //
  // A reset of the source counts as its end too: what it sent before still goes out, and the sink
  // sees a FIN. An SMTP server that gets a FIN in the middle of a message discards the message.
  enum class State {
    Open,      // reads when the backlog is empty
    Flushing,  // the source has ended; the backlog goes out, then FIN
    Done,      // FIN was passed on
    Broken,    // the sink is gone; nothing more can be delivered
  };

  // The outcome of read().
  enum class Read { Bytes, Nothing, End };

  // Requires: wants_read(). Receives once into `scratch`; `received` is the part that was filled.
  // The caller looks at the bytes and then calls write().
  Read read(int source, std::span<char> scratch, std::span<const char>& received);

  // Sends `bytes` and keeps what the sink does not take now. At most one call between two flushes
  // that empty the backlog.
  void write(int sink, std::span<const char> bytes);

  // To be called when the sink may be writable: sends the backlog, and passes the end on if the
  // source has ended.
  void flush(int sink);

  bool wants_read() const { return state_ == State::Open && backlog_.empty(); }
  bool wants_write() const { return !backlog_.empty() && state_ != State::Broken; }
  State state() const { return state_; }
  bool over() const { return state_ == State::Done || state_ == State::Broken; }
  // Nothing is left to do, except perhaps to pass the end on.
  bool empty_at_end() const { return over() || (state_ == State::Flushing && backlog_.empty()); }
  std::size_t backlog() const { return backlog_.size() - sent_; }
  // Whether any byte has passed (or waits to pass).
  bool used() const { return used_; }

 private:
  State state_ = State::Open;
  std::string backlog_;
  std::size_t sent_ = 0;  // how much of the backlog is sent
  bool used_ = false;
};

}  // namespace proxy
