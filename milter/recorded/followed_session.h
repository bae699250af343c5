// The SMTP session of a captured connection: gives its bytes to an Observer, goes on behind what was
// not captured, and reports its messages.
//
//     Searching ──start()──► Following
//     Following ──out of step──► Searching
//     Following ──TLS that cannot be followed──► Encrypted ──start()──► Following
//     any ──finish()──► Over
//
// A message that cannot be told of has a trace that is unobserved. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "classifier/observer.h"
#include "milter/recorded/reports.h"

namespace recorded {

class FollowedSession final : private classifier::Observer::Sink, private classifier::TlsLog::Sink {
 public:
  enum class State : std::uint8_t { Searching, Following, Encrypted, Over };

  // `segments`: Observer::Limits. Requires: `sink` outlives the session.
  FollowedSession(MessageSink& sink, std::size_t segments) : segments_(segments), reports_(sink) {}
  FollowedSession(const FollowedSession&) = delete;
  FollowedSession& operator=(const FollowedSession&) = delete;

  State state() const { return state_; }
  bool following() const { return state_ == State::Following; }
  // No message was there yet.
  bool fresh() const { return state_ == State::Searching && reports_.messages() == 0; }
  // What the client said here was no mail; a server's greeting may still come.
  bool not_mail() const { return not_mail_; }
  // Requires: following.
  classifier::Observer& observer() { return *observer_; }
  const classifier::Observer& observer() const { return *observer_; }

  // Whose session it is, which way it takes, and what the time is.
  void set_ends(const TcpEnd& client, const TcpEnd& server) {
    connection_.client = client;
    connection_.server = server;
  }
  void set_path(const classifier::Path& path);
  void set_time(std::uint64_t time_ns) { connection_.time_ns = time_ns; }

  // A session begins with the next bytes.
  void start();
  // It was none after all: nothing is reported of it.
  void drop();
  // What comes is TLS from where the capture began.
  void begin_encrypted();
  // Over: nothing more is looked for.
  void give_up() { state_ = State::Over; }
  // Leaves the session, to be taken up where a start is found.
  void leave(classifier::Reason reason);
  // The same, for what came outside of the sequence: a transaction that was open is reported as
  // lost, and its text, should it come, is not another message.
  void leave_until_mail(classifier::Reason reason);

  // The next bytes of each stream, and what of it was not captured. All require: following.
  void client(std::string_view bytes);
  void server(std::string_view bytes);
  void commands_missed(std::uint64_t size);
  void replies_missed();
  void records_missed(bool of_client, std::uint64_t size);
  // Behind STARTTLS the client speaks in clear: a tap that decrypts.
  bool is_decrypted(std::string_view first) const;

  // Nothing more comes: a cut message is reported.
  void finish();

 private:
  void settle();
  void unobserved(classifier::Reason reason);
  void take(classifier::ObservedMessage&& message);
  void end_in_clear();
  Connection connection() const;

  void message(classifier::ObservedMessage&& message) override;
  void answered(std::uint32_t) override { reports_.release(); }
  std::shared_ptr<classifier::TlsStream> follow_tls(classifier::TlsLog::Start&& start,
                                                    classifier::ArrivalLog&& arrivals) override;
  void tls_message(classifier::Trace&& trace) override;
  void lost(classifier::Reason reason) override { lost_ = reason; }
  void text_skipped() override;

  const std::size_t segments_;
  Reports reports_;
  State state_ = State::Searching;
  Connection connection_;
  classifier::Path path_;
  std::unique_ptr<classifier::Observer> observer_;  // while following
  std::optional<classifier::Reason> lost_;          // said by it during a call
  bool not_mail_ = false;
  bool until_mail_ = false;        // the transaction was reported as lost before its text came
  bool rest_is_reported_ = false;  // a message was reported as lost, and text may be its rest
  bool tls_begun_ = false;         // the client's first byte behind STARTTLS came
  bool tls_reported_ = false;      // a message under TLS was
};

}  // namespace recorded
