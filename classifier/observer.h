// Joins what a capture saw (segments) with what the tracker understood (message windows) into one
// Trace a message. Used live by the proxy and offline for captures; no socket, no clock.
//
//     segment(…)  ─┐
//     client(…)   ─┼─► tracker ─► window closed ─► segments cut to it ─► Sink::message(Trace)
//     server(…)   ─┘
//
// How arrivals become segments: the first copy of a byte counts, in the order of the calls. An
// arrival is one Segment where its bytes of the message are new and lie together; it is two where a
// BDAT command, or bytes that came earlier, lie between them, and then `before` and `after` of each
// count all that the arrival holds around it, so that payload() is always the arrival's size. An
// arrival that brings nothing new is no segment; it marks those it repeats as resent.
//
// Order matters in one way: a segment must be given before the client bytes it carries, so that
// the bytes can tell whether it ended at a line end. What is missing is marked (Segment::hole,
// State::Partial), never invented.
// Under TLS the tracker sees nothing. Where Limits::infer_sealed asks for it, messages are then
// told by the records (tls_session.h); without it, or where they cannot be read, the session is
// lost. Not thread-safe; one observer a session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "classifier/smtp_tracker.h"
#include "classifier/tls_session.h"
#include "classifier/trace.h"

namespace classifier {

// One arrival as the capture saw it. Offsets are of the client's stream (0 = first payload byte
// behind the SYN); arrivals may come out of order, repeat and overlap.
struct Arrival {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;     // payload bytes, at least 1
  std::uint32_t count = 1;    // segments joined (Via::Read)
  std::uint64_t time_ns = 0;  // any monotonic clock
  bool push = false;
};

class Observer final : private SmtpTracker::Listener, private TlsSession::Listener {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // What the message of the next call claims about its sender; only who classifies at once wants
    // it, and nobody may keep it.
    virtual void claimed(Claims&& claims) { (void)claims; }
    // A message ended; its trace. `trace.path` is as set by set_path().
    virtual void message(Trace&& trace) = 0;
    // The server has answered message `ordinal`.
    virtual void answered(std::uint32_t ordinal) = 0;
    // No message of this session can be told from here on.
    virtual void lost(Reason reason) = 0;
  };

  struct Limits {
    std::size_t segments = 4096;  // kept for one message; beyond: State::Partial, Reason::Full
                                  // and the trace tells of its beginning only
    bool infer_sealed = false;    // tell of messages under TLS by their records
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
  // Both streams have ended. Needed under TLS only, where the last message is told of then.
  void finish();

  bool lost() const { return tracker_.lost() && !sealed(); }
  // The streams are TLS, and followed.
  bool sealed() const { return tls_ && !tls_->lost(); }
  // Client bytes given so far; the offset of the next one.
  std::uint64_t client_offset() const { return tracker_.client_offset(); }

 private:
  struct Kept {
    Arrival arrival;
    Tail front = Tail::Other;  // the byte in front of it
    Tail last = Tail::Other;   // its last byte
    std::uint64_t end() const { return arrival.offset + arrival.size; }
  };

  // Bytes of a message that one arrival brought first.
  struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint32_t kept = 0;  // which arrival; the order of arrival, too
    bool resent = false;
    Tail tail = Tail::Other;
  };

  void on_command(Span line) override;
  void on_message(Message&& message) override;
  void on_answer(std::uint32_t ordinal) override;
  void on_lost(Reason reason) override;
  void on_sealed(SealedMessage&& message) override;

  void client_sealed(std::span<const char> bytes);
  void lose(Reason reason);
  void mark_tails(std::uint64_t begin, std::span<const char> bytes);
  void forget_before(std::uint64_t offset);
  bool whole(Span span) const;
  bool may_be_full(const Arrival& arrival) const;

  std::vector<Piece> cover(std::span<const Span> spans) const;
  void set_tails(std::vector<Piece>& pieces, const Message& message) const;
  void append_segments(const std::vector<Piece>& pieces, const Message& message,
                       Trace& trace) const;
  static void append_chunks(const Message& message, Trace& trace);
  void judge(const Message& message, std::uint64_t covered, Trace& trace);

  Sink& sink_;
  Via via_;
  Limits limits_;
  Path path_;
  SmtpTracker tracker_;
  std::optional<TlsSession> tls_;
  std::uint64_t tls_begin_ = 0;    // offset of the client's first byte under TLS
  std::uint32_t messages_ = 0;     // told so far
  std::vector<Kept> kept_;         // in arrival order, not before the current window or command
  std::size_t marked_ = 0;         // kept_[0, marked_) have their tails
  Tail given_tail_ = Tail::Other;  // the last client byte that was given
  Span unkept_;                    // encloses the arrivals that were not kept: the limit
  bool missed_ = false;
  bool split_command_ = false;
};

}  // namespace classifier
