// Observes one client: where its segments lie in its stream, how it speaks SMTP, and which of that
// is evidence. It stands beside the path of the bytes: it is shown them before they go on, and
// cannot change or delay them. Whatever fails in here, the session is still relayed, unobserved.
//
//     begin() ──► Judged ──too old, in clear──► Followed      a balancer's own connection: Followed
//        │           │                             │                         from the beginning
//        │           └──no memory, TLS too old─────┴──► Off
//        └── capture is off, the process too busy ──► Off
//
//     Judged    messages go into the evidence table
//     Followed  nothing is evidence; only the ends of transactions are followed, for a drain
//     Off       no observer
//
// The kernel filter shows every packet that names this connection, and a stranger may have sent
// some of them (capture/segments.bpf.c). A segment is ignored here if it lies megabytes away from
// the stream's current place, or if its acknowledgement lies megabytes away from that of the
// client's last segment: a stranger who knows neither number of the connection has to guess both.
// classifier/arrivals.h detects the other segments that TCP refuses.
//
// Used by one worker's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "classifier/observer.h"
#include "milter/capture/kernel_filter.h"
#include "milter/evidence/table.h"
#include "milter/net/address.h"

namespace proxy {

using std::chrono::steady_clock;

class Host;

class Watch final : private classifier::Observer::Sink {
 public:
  // `client`: the session's socket, borrowed. Requires: `host` outlives this object.
  Watch(Host& host, int client);
  ~Watch() override = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Reads what the SYN, which the kernel has saved, shows of the path. Returns the server address
  // that the client called. To be called once, before anything else.
  net::Endpoint learn_syn();
  // The client's stream begins: with the connection, or after the `header` bytes in which a
  // balancer has named `client` and the server that it called. To be called before the connection
  // to Postfix is made.
  void begin(const net::Endpoint& client, const net::Endpoint& server);
  void begin_behind_balancer(const net::Endpoint& client, const net::Endpoint& server,
                             std::size_t header);

  // One segment of this client, from the kernel filter.
  void segment(const capture::SegmentEvent& event);
  // Whether the events of the kernel filter matter. If so, the segments in which bytes came have to
  // be passed to segment() before the bytes are passed to client().
  bool wants_segments() const { return observer_ && first_seq_; }
  // The next bytes of each stream, to be shown before they go on: when Postfix has the end of a
  // message, its evidence must be in the table.
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // Called about once a second: a client that sends nothing may also keep too much memory.
  void on_tick();
  // The session is over. Its evidence stays in the table for a while.
  void close();

  // Whether Postfix has answered all that the client has said; whether no transaction is open. Both
  // are false if that is not known.
  bool all_answered() const { return observer_ && observer_->all_answered(); }
  bool between_transactions() const { return observer_ && observer_->between_transactions(); }
  // Whether Postfix may have received a whole message that it has not answered. Nothing: not known.
  std::optional<bool> owes_answer() const {
    return observer_ ? observer_->owes_answer() : std::nullopt;
  }
  // The number with which the kernel filter's events name this socket.
  std::uint64_t cookie() const { return cookie_; }
  static std::uint64_t cookie_of(int socket);

 private:
  void message(classifier::ObservedMessage&& message) override;
  void answered(std::uint32_t ordinal) override;
  void lost(classifier::Reason reason) override;
  std::shared_ptr<classifier::TlsStream> follow_tls(classifier::TlsLog::Start&& start,
                                                    classifier::ArrivalLog&& arrivals) override;

  void open(const net::Endpoint& client, const net::Endpoint& server);
  // Whether the segment can be the client's. `place`: position of its first byte in the client's
  // stream.
  bool credible(const capture::SegmentEvent& event, std::int64_t place);
  void notice_losses();
  void add_first_segment(std::size_t read);
  void judge(classifier::Via via);
  void follow_only();
  void learn_path();
  void observe_read(std::size_t size);
  // Informs the table when the observer falls behind or has caught up, and how the client talks.
  void tell_table();
  // Ends the observing. The table is given the reason.
  void stop(classifier::Reason reason);
  // Whether the session has been observed for as long as is allowed, and no message would be cut.
  bool too_old() const;
  // From here on nothing of the session is evidence.
  void expire();
  // Updates the observer's share of the budget. Stops an observer that keeps too much for the
  // process.
  void account();

  // Runs `look` on the observer. An exception in it stops the observing.
  template <typename Look>
  void observe(Look look);

  Host& host_;
  const int client_;
  const std::uint64_t cookie_;
  evidence::SessionKey session_;
  bool open_ = false;        // the table has an entry for the session
  bool greeted_ = false;     // the table knows that Postfix has greeted
  bool behind_ = false;      // the table knows that the observer is behind
  std::uint32_t words_ = 0;  // how the client has talked, as the table was told last
  const steady_clock::time_point began_;
  std::optional<std::uint32_t> first_seq_;  // of the first payload byte; nothing: no kernel filter
  std::uint32_t segments_seen_ = 0;         // tcpi_data_segs_in at the last read
  std::uint64_t first_event_ = UINT64_MAX;  // lowest offset of an event; maximum: none yet
  std::uint64_t next_ = 0;                  // offset after the last byte that came without a gap
  std::optional<std::uint32_t> acked_;      // acknowledged by the last segment without a gap
  std::uint32_t losses_;                    // Host::losses() when it was looked at
  bool behind_header_ = false;              // a balancer's header came before the stream
  classifier::Path path_;
  bool path_known_ = false;
  std::optional<classifier::Observer> observer_;
  evidence::Budget::Share share_;  // for what the observer keeps
  bool judged_ = true;             // false: the observer only follows the dialogue
};

}  // namespace proxy
