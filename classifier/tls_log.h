// What is kept of a session under TLS: arrivals, and the records that they carried. When it is
// known which records are a message, its trace is made from them.
//
//     segment(…), client(…), server(…) ─► ArrivalLog + TlsSession ─┬─► trace(shown)   a milter asks
//                                                                  └─► Sink           a capture
//
// No text is read here, so no landmarks are known. Bounded by Limits. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <variant>

#include "classifier/arrivals.h"
#include "classifier/client_hello.h"
#include "classifier/tls_message.h"
#include "classifier/tls_session.h"
#include "classifier/trace.h"
#include "classifier/turn_judge.h"

namespace classifier {

// Follows a session after TLS begins. The observer passes the session's bytes on to it.
class TlsStream {
 public:
  virtual ~TlsStream() = default;
  virtual void segment(const Arrival& arrival) = 0;
  // See Observer.
  virtual void segment_again(Span bytes) { (void)bytes; }
  virtual void missed_some() = 0;
  // For captures that lost packets: the next `size` bytes of each side were not seen.
  virtual void client_gap(std::uint64_t size) { (void)size; }
  virtual void server_gap(std::uint64_t size) { (void)size; }
  // The capture ended, and the server may have said more.
  virtual void server_cut() {}
  virtual void client(std::span<const char> bytes) = 0;
  virtual void server(std::span<const char> bytes) = 0;
  // Both streams have ended.
  virtual void finish() = 0;
  // The bytes are not TLS that can be read.
  virtual bool lost() const = 0;
  // Offset of the client's next byte in its whole stream.
  virtual std::uint64_t client_offset() const = 0;
  // Memory in bytes.
  virtual std::size_t memory_used() const = 0;
};

class TlsLog final : public TlsStream, private TlsSession::Listener {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void tls_message(Trace&& trace) = 0;
  };

  struct Start {
    Via via = Via::Kernel;
    Path path;
    Dialogue dialogue;            // of the session in clear
    bool split_command = false;   // in clear
    std::uint64_t offset = 0;     // offset of the client's first byte under TLS
    std::uint32_t messages = 0;   // messages that were reported before
    std::size_t segments = 4096;  // kept of one message, as in Observer::Limits
    Sha256 sha256 = nullptr;      // for the ClientHello's fingerprint; null: it is not taken
  };

  // `sink`: messages are inferred and reported to it. Null: trace() is called instead. Requires:
  // the sink outlives the log; `arrivals` begins at `start.offset`.
  TlsLog(Start start, ArrivalLog&& arrivals, Sink* sink);

  void segment(const Arrival& arrival) override;
  void segment_again(Span bytes) override { arrivals_.came_again(bytes); }
  void missed_some() override { arrivals_.missed_some(); }
  void client_gap(std::uint64_t size) override;
  void server_gap(std::uint64_t size) override { tls_.server_gap(size); }
  void server_cut() override { on_missed_answers(); }
  void client(std::span<const char> bytes) override;
  void server(std::span<const char> bytes) override { tls_.server(bytes); }
  void finish() override;
  bool lost() const override { return tls_.lost(); }
  std::uint64_t client_offset() const override { return arrivals_.offset(); }
  std::size_t memory_used() const override;

  // Returns the trace of the message that was received and is not answered yet, found by the sizes
  // that the milter was shown. `ordinal`: its number in the session. Lost: no turn can be the
  // message. Ambiguous: its turn may hold more than this message, or the message may lie before
  // that turn.
  std::variant<Trace, Reason> trace(const ShownSizes& shown, std::uint32_t ordinal);
  // As far as it is known, everything was answered, and no message is under way.
  bool answered() const;

 private:
  // For BDAT with chunks that are answered one by one: at most this many of the last turns are
  // kept, as long as their arrivals use at most half of the limit.
  static constexpr std::size_t kTurns = 64;

  void on_turn(Turn&& turn) override;
  void on_more_answers() override;
  void on_missed_answers() override;
  void on_next_turn() override;

  void tell(std::optional<TlsMessage>&& message);
  Turns turns() const;
  void forget_oldest_turn();
  void forget_turns();
  Trace trace_of(const TlsMessage& message, std::uint32_t ordinal) const;
  const std::string& fingerprint_of_hello() const;
  void forget();
  std::uint64_t kept_from() const;

  const Start start_;
  ArrivalLog arrivals_;
  TlsSession tls_;
  Sink* sink_;
  TurnJudge judge_;
  std::uint32_t told_ = 0;
  mutable std::optional<std::string> ja4_;  // taken once, when a message needs it
  // Without a sink:
  std::deque<Turn> turns_;       // the last turns since the last message that was found
  std::uint64_t forgotten_ = 0;  // bytes of the turns before them
  std::uint64_t greeting_ = 0;   // bytes of the first turn
  std::size_t records_ = 0;      // records in turns_
  bool greeted_ = false;         // the first turn, EHLO, is over
  std::uint64_t placed_ = 0;     // bytes of the current turn, if a message was found at its end
  bool split_command_ = false;
};

}  // namespace classifier
