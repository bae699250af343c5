// The SMTP session of a captured connection. It gives the bytes to an Observer, continues after
// bytes that were not captured, and reports the messages.
//
//     Searching ──start()──► Following
//     Following ──out of step──► Searching
//     Following ──TLS that cannot be followed──► Encrypted ──start()──► Following
//     any ──finish()──► Over
//
// A message about which nothing can be said is reported as unobserved. Not thread-safe.
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

  // `segments`: see Observer::Limits. Requires: `sink` outlives the session.
  FollowedSession(MessageSink& sink, std::size_t segments) : segments_(segments), reports_(sink) {}
  FollowedSession(const FollowedSession&) = delete;
  FollowedSession& operator=(const FollowedSession&) = delete;

  State state() const { return state_; }
  bool following() const { return state_ == State::Following; }
  // True if no message was found yet.
  bool fresh() const { return state_ == State::Searching && reports_.messages() == 0; }
  // True if the client's bytes were not SMTP. A server's greeting may still follow.
  bool not_mail() const { return not_mail_; }
  // Requires: following.
  classifier::Observer& observer() { return *observer_; }
  const classifier::Observer& observer() const { return *observer_; }

  // The client, the server, the path, and the time of the current packet.
  void set_ends(const TcpEnd& client, const TcpEnd& server) {
    connection_.client = client;
    connection_.server = server;
  }
  void set_path(const classifier::Path& path);
  void set_time(std::uint64_t time_ns) { connection_.time_ns = time_ns; }

  // Begins a session with the next bytes.
  void start();
  // This was not a session: reports nothing about it.
  void drop();
  // The bytes were TLS from the beginning of the capture on.
  void begin_encrypted();
  // Stops searching this connection.
  void give_up() { state_ = State::Over; }
  // Ends the session. A new one may begin where a start is found.
  void leave(classifier::Reason reason);
  // Ends the session because of bytes outside the sequence. An open transaction is reported as
  // lost. If its text follows, it is not counted as another message.
  void leave_until_mail(classifier::Reason reason);

  // The next bytes of each stream, and the bytes that were not captured. All of these require:
  // following().
  void client(std::string_view bytes);
  void server(std::string_view bytes);
  void commands_missed(std::uint64_t size);
  void replies_missed();
  void records_missed(bool of_client, std::uint64_t size);
  // True if the client continues in clear after STARTTLS, because the capture was made by a tap
  // that decrypts.
  bool is_decrypted(std::string_view first) const;

  // The capture or the connection has ended: reports a message that was cut.
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
  std::optional<classifier::Reason> lost_;          // set by the observer during a call
  bool not_mail_ = false;
  bool until_mail_ = false;        // the transaction was reported as lost before its text came
  bool rest_is_reported_ = false;  // a message was reported as lost; the next text may be its rest
  bool tls_begun_ = false;         // the client's first byte after STARTTLS was seen
  bool tls_reported_ = false;      // a message under TLS was reported
};

}  // namespace recorded
