// Joins what a capture saw (segments) with what the tracker understood (message windows) into one
// Trace a message. Used live by the proxy and offline for captures; no socket, no clock.
//
//     segment(…)  ─┐
//     client(…)   ─┼─► tracker ─► window closed ─► segments cut to it ─► Sink::message(Trace)
//     server(…)   ─┘
//
// Order matters in one way: a segment must be given before the client bytes it carries, so that
// the bytes can tell whether it ended at a line end. What is missing is marked (Segment::hole,
// State::Partial), never invented.
// Not thread-safe; one observer a session.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "classifier/smtp_tracker.h"
#include "classifier/trace.h"

namespace classifier {

// One arrival as the capture saw it. Offsets are of the client's stream (0 = first payload byte
// behind the SYN); arrivals may come out of order, repeat and overlap.
struct Arrival {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;      // payload bytes, at least 1
  std::uint32_t count = 1;     // segments joined (Via::Read)
  std::uint64_t time_ns = 0;   // any monotonic clock
  bool push = false;
};

class Observer final : private SmtpTracker::Listener {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // A message ended; its trace. `trace.path` is as set by set_path().
    virtual void message(Trace&& trace) = 0;
    // The server has answered message `ordinal`.
    virtual void answered(std::uint32_t ordinal) = 0;
    // No message of this session can be told from here on.
    virtual void lost(Reason reason) = 0;
  };

  struct Limits {
    std::size_t segments = 4096;  // kept for one message; beyond: State::Partial, Reason::Full
  };

  // Requires: `sink` outlives the observer.
  Observer(Sink& sink, Via via, Limits limits);

  void set_path(Path path) { path_ = std::move(path); }
  const Path& path() const { return path_; }
  // The capture knows that it missed something: the next trace says Partial, Dropped.
  void missed_some() { missed_ = true; }

  void segment(const Arrival& arrival);
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);

  bool lost() const { return tracker_.lost(); }
  // Client bytes given so far; the offset of the next one.
  std::uint64_t client_offset() const { return tracker_.client_offset(); }

 private:
  struct Kept {
    Arrival arrival;
    bool line_end = false;
    bool cr_end = false;
  };

  void on_command(Span line) override;
  void on_message(Message&& message) override;
  void on_answer(std::uint32_t ordinal) override;
  void on_lost(Reason reason) override;

  void mark_line_ends(std::uint64_t begin, std::span<const char> bytes);
  void cut(const Message& message, Trace& trace);
  void forget_before(std::uint64_t offset);

  Sink& sink_;
  Via via_;
  Limits limits_;
  Path path_;
  SmtpTracker tracker_;
  std::vector<Kept> kept_;        // in arrival order, not before the current window or command
  std::size_t marked_ = 0;        // kept_[0, marked_) have their line-end marks
  bool missed_ = false;
  bool full_ = false;
  bool split_command_ = false;
};

}  // namespace classifier
