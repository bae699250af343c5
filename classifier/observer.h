// Joins what a capture saw (segments) with what the tracker found (message windows). The result is
// one Trace per message. The proxy uses it live, and captures use it offline; it uses no socket and
// no clock.
//
//     segment(…)  ─┐
//     client(…)   ─┼─► tracker ─► window closed ─► segments cut to it ─► Sink::message(Trace)
//     server(…)   ─┘
//
// Only one order matters: a segment must be given before the client bytes that it carries. The
// bytes then show whether it ended at a line end (arrivals.h).
//
// Under TLS the tracker sees nothing. Then Sink::follow_tls() returns the object that follows the
// records (tls_log.h). The session is lost if there is none, or if the records cannot be read. Not
// thread-safe; one observer for each session.
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
  EnvelopeSizes envelope;  // of the commands before it, including refused ones
  Claims claims;           // text: it must be used at once, never kept
};

class Observer final : private SmtpTracker::Listener {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void message(ObservedMessage&& message) = 0;
    // The server has answered message `ordinal`.
    virtual void answered(std::uint32_t ordinal) = 0;
    // From here on no message of this session can be reported. The answers to messages that were
    // reported before and are not yet answered will not be seen.
    virtual void lost(Reason reason) = 0;
    // Text after a gap was skipped, because its beginning was not seen (command_gap()).
    virtual void text_skipped() {}
    // TLS begins. Returns the object that follows it. Null: the session is lost, Reason::Encrypted.
    virtual std::shared_ptr<TlsStream> follow_tls(TlsLog::Start&& start, ArrivalLog&& arrivals) {
      (void)start;
      (void)arrivals;
      return nullptr;
    }
  };

  struct Limits {
    std::size_t segments = 4096;  // kept of one message; beyond: State::Partial, Reason::Full, and
                                  // the trace describes only its beginning
    bool resumes = false;  // resume() may be called: arrivals are kept when the session is lost
  };

  // Requires: `sink` outlives the observer.
  Observer(Sink& sink, Via via, Limits limits);

  void set_path(Path path) { path_ = std::move(path); }
  const Path& path() const { return path_; }
  // The capture knows that it missed something. The next trace is State::Partial, Reason::Dropped.
  void missed_some();

  void segment(const Arrival& arrival);
  // Bytes of an earlier segment came again. For a caller that knows which of the two segments
  // counts, and passes only that one to segment().
  void segment_again(Span bytes);
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // For incomplete captures: see SmtpTracker. Require: not under TLS.
  void assume_greeting() { tracker_.assume_greeting(); }
  void assume_answers();
  bool assume_text() { return tracker_.assume_text(); }
  void command_gap(std::uint64_t size);
  // Continues after Sink::lost(), as after a gap. Requires: Limits::resumes.
  void resume() { tracker_.resume(); }
  // Under TLS: the next `size` bytes of each side were not seen.
  void client_gap(std::uint64_t size);
  void server_gap(std::uint64_t size);
  // Under TLS: the server may have said more than was seen.
  void server_cut() { tls_->server_cut(); }
  // The client says nothing more. Requires: not under TLS.
  void end_in_clear() { tracker_.end(); }
  bool answers_assumed() const { return tracker_.answers_assumed(); }
  std::uint64_t text_left() const { return tls_ ? 0 : tracker_.text_left(); }
  bool in_data() const { return !tls_ && tracker_.in_data(); }
  Tail text_tail() const { return tracker_.text_tail(); }
  bool in_transaction() const { return !tls_ && tracker_.in_transaction(); }
  // Both streams have ended. Needed under TLS only: the last message is reported then.
  void finish();

  bool lost() const { return tracker_.lost() && !under_tls(); }
  // May a message have ended that was not reported yet? False under TLS.
  bool behind() const { return !tls_ && tracker_.behind(); }
  // See SmtpTracker. Under TLS no byte is read, so it returns the maximum.
  std::uint64_t text_ahead() const { return tls_ ? UINT64_MAX : tracker_.text_ahead(); }
  // The server's greeting is complete.
  bool greeted() const { return tracker_.greeted(); }
  // The name with which the client greeted in clear. This is text: see SmtpTracker::helo().
  const std::string& helo() const { return tracker_.helo(); }
  // How the client has talked so far; under TLS, until STARTTLS.
  Dialogue dialogue() const;
  // See SmtpTracker. False under TLS.
  bool all_answered() const { return !tls_ && tracker_.all_answered(); }
  bool between_transactions() const { return !tls_ && tracker_.between_transactions(); }
  // See SmtpTracker. Empty if it cannot be known, for example under TLS.
  std::optional<bool> owes_answer() const {
    return tls_ || tracker_.lost() ? std::nullopt : std::optional(tracker_.owes_answer());
  }
  // The streams are TLS, and the records are followed.
  bool under_tls() const { return tls_ && !tls_->lost(); }
  // Client bytes that were given so far. The next byte has this offset.
  std::uint64_t client_offset() const { return tls_ ? tls_->client_offset() : arrivals_.offset(); }
  // The memory of arrivals, records and text that waits, in bytes.
  std::size_t memory_used() const {
    return tls_ ? tls_->memory_used() : arrivals_.memory_used() + tracker_.memory_used();
  }
  // Nothing is kept that a later message could need, because no message is under way. Under TLS
  // this is not known here.
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
  ArrivalLog arrivals_;  // none before the current window or command
  std::shared_ptr<TlsStream> tls_;
  bool tls_begins_ = false;      // the tracker has just reported that TLS begins
  bool answer_to_come_ = false;  // the answer to STARTTLS in clear is still to come: it was assumed
  std::uint32_t messages_ = 0;   // reported so far
  bool split_command_ = false;
};

}  // namespace classifier
