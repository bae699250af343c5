// Joins what a capture saw (segments) with what the tracker understood (message windows) into one
// Trace a message. Used live by the proxy and offline for captures; no socket, no clock.
//
//     segment(…)  ─┐
//     client(…)   ─┼─► tracker ─► window closed ─► segments cut to it ─► Sink::message(Trace)
//     server(…)   ─┘
//
// Order matters in one way: a segment must be given before the client bytes it carries, so that
// the bytes can tell whether it ended at a line end (arrivals.h).
// Under TLS the tracker sees nothing. Then Sink::follow_tls() says who follows the records
// (tls_log.h); the session is lost where nobody does, or they cannot be read. Not thread-safe;
// one observer a session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "classifier/arrivals.h"
#include "classifier/smtp_tracker.h"
#include "classifier/tls_log.h"
#include "classifier/trace.h"

namespace classifier {

// A message whose last byte was seen.
struct ObservedMessage {
  Trace trace;             // `trace.path` is as set by Observer::set_path()
  EnvelopeSizes envelope;  // of the commands in front of it, refused ones among them
  Claims claims;           // text: to be used at once or thrown away, never kept
};

class Observer final : private SmtpTracker::Listener {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void message(ObservedMessage&& message) = 0;
    // The server has answered message `ordinal`.
    virtual void answered(std::uint32_t ordinal) = 0;
    // No message of this session can be told from here on, nor those that were told and are not
    // answered: their answers will not be seen.
    virtual void lost(Reason reason) = 0;
    // Text behind a gap went by, of which the beginning was not seen (command_gap()).
    virtual void text_skipped() {}
    // TLS begins: who follows it? Nobody: the session is lost, Encrypted.
    virtual std::shared_ptr<TlsStream> follow_tls(TlsLog::Start&& start, ArrivalLog&& arrivals) {
      (void)start;
      (void)arrivals;
      return nullptr;
    }
  };

  struct Limits {
    std::size_t segments = 4096;  // kept for one message; beyond: State::Partial, Reason::Full
                                  // and the trace tells of its beginning only
    bool resumes = false;  // resume() may be called: arrivals are kept when the session is lost
  };

  // Requires: `sink` outlives the observer.
  Observer(Sink& sink, Via via, Limits limits);

  void set_path(Path path) { path_ = std::move(path); }
  const Path& path() const { return path_; }
  // The capture knows that it missed something: the next trace says Partial, Dropped.
  void missed_some();

  void segment(const Arrival& arrival);
  // Bytes came again that an earlier segment brought. For whoever knows which of the two counts,
  // and tells of that one only.
  void segment_again(Span bytes);
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // For captures that lack something: as SmtpTracker. Require: not under TLS.
  void assume_greeting() { tracker_.assume_greeting(); }
  void assume_answers();
  bool assume_text() { return tracker_.assume_text(); }
  void command_gap(std::uint64_t size);
  // Goes on behind Sink::lost(), as behind a gap. Requires: `resumes`.
  void resume() { tracker_.resume(); }
  // Under TLS: the next `size` bytes of each side were not seen.
  void client_gap(std::uint64_t size);
  void server_gap(std::uint64_t size);
  // Under TLS: the server may have said more.
  void server_cut() { tls_->server_cut(); }
  // The client says nothing more. Requires: not under TLS.
  void end_in_clear() { tracker_.end(); }
  bool answers_assumed() const { return tracker_.answers_assumed(); }
  std::uint64_t text_left() const { return tls_ ? 0 : tracker_.text_left(); }
  bool in_data() const { return !tls_ && tracker_.in_data(); }
  Tail text_tail() const { return tracker_.text_tail(); }
  bool in_transaction() const { return !tls_ && tracker_.in_transaction(); }
  // Both streams have ended. Needed under TLS only, where the last message is told of then.
  void finish();

  bool lost() const { return tracker_.lost() && !under_tls(); }
  // A message may have ended that was not told of yet. False under TLS.
  bool behind() const { return !tls_ && tracker_.behind(); }
  // As SmtpTracker; under TLS nothing is read.
  std::uint64_t text_ahead() const { return tls_ ? UINT64_MAX : tracker_.text_ahead(); }
  // The server's greeting has come to its end.
  bool greeted() const { return tracker_.greeted(); }
  // The name that the client has said in clear. Text: see SmtpTracker::helo().
  const std::string& helo() const { return tracker_.helo(); }
  // As SmtpTracker. False under TLS.
  bool all_answered() const { return !tls_ && tracker_.all_answered(); }
  bool between_transactions() const { return !tls_ && tracker_.between_transactions(); }
  // The same; nothing where that cannot be told, under TLS for one.
  std::optional<bool> owes_answer() const {
    return tls_ || tracker_.lost() ? std::nullopt : std::optional(tracker_.owes_answer());
  }
  // The streams are TLS, and followed.
  bool under_tls() const { return tls_ && !tls_->lost(); }
  // Client bytes given so far; the offset of the next one.
  std::uint64_t client_offset() const { return tls_ ? tls_->client_offset() : arrivals_.offset(); }
  // Bytes of memory that arrivals, records and waiting text take.
  std::size_t memory_used() const {
    return tls_ ? tls_->memory_used() : arrivals_.memory_used() + tracker_.memory_used();
  }
  // Nothing is kept that a message of later on might need: none is under way. Under TLS nobody
  // knows that here.
  bool idle() const { return tls_ || arrivals_.size() == 0; }

 private:
  void on_command(Span line) override;
  void on_message(Message&& message) override;
  void on_answer(std::uint32_t ordinal) override;
  void on_lost(Reason reason) override;
  void on_text_skipped() override { sink_.text_skipped(); }

  void begin_tls(std::uint64_t offset);
  std::span<const char> behind_clear(std::span<const char> bytes);
  void client_under_tls(std::span<const char> bytes);
  void lose(Reason reason);
  static void append_chunks(const Message& message, Trace& trace);

  Sink& sink_;
  Via via_;
  Limits limits_;
  Path path_;
  SmtpTracker tracker_;
  ArrivalLog arrivals_;  // not before the current window or command
  std::shared_ptr<TlsStream> tls_;
  bool tls_begins_ = false;      // the tracker has just said that TLS begins
  bool answer_to_come_ = false;  // to STARTTLS, in clear: it was assumed
  std::uint32_t messages_ = 0;   // told so far
  bool split_command_ = false;
};

}  // namespace classifier
