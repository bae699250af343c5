// What is seen of one client: where its segments lie in its stream, how it speaks, and what of that
// is evidence. It stands beside the path of the bytes, is shown them before they go on, and never
// has a say: whatever goes wrong in here, the session is relayed, unobserved.
//
//     begin() ──► Judged ──too old, in clear──► Followed      a balancer's own connection: Followed
//        │           │                             │                         from the beginning
//        │           └──no memory, TLS too old─────┴──► Off
//        └── capture is off, the process too busy ──► Off
//
//     Judged    messages go into the evidence table
//     Followed  nothing is evidence; only where transactions end is known, for a drain
//     Off       no observer
//
// The kernel filter shows every packet that names this connection, and a stranger may have sent it
// (capture/segments.bpf.c). One that lies megabytes from where the stream is, or acknowledges
// megabytes beside what the client's last segment did, is passed by here: who knows neither number
// of the connection has to guess both. What else TCP refuses is for classifier/arrivals.h to tell.
//
// One worker's thread.
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
  // `client`: the session's socket, borrowed. `host` outlives this.
  Watch(Host& host, int client);
  ~Watch() override = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // What the connection tells of the path, by the SYN that the kernel has kept. Returns whom the
  // client called. To be called once, first.
  net::Endpoint learn_syn();
  // The client's stream begins: with the connection, or `header` bytes into it, where a balancer
  // has said who `client` is and whom it called. Before Postfix is connected to.
  void begin(const net::Endpoint& client, const net::Endpoint& server);
  void begin_behind_balancer(const net::Endpoint& client, const net::Endpoint& server,
                             std::size_t header);

  // One segment of this client, from the kernel filter.
  void segment(const capture::SegmentEvent& event);
  // Whether it matters what the kernel filter saw. Then the segments in which bytes came have to be
  // told of before the bytes are.
  bool wants_segments() const { return observer_ && first_seq_; }
  // The next bytes of each stream, before they go on: when Postfix has a message's end, its
  // evidence is in the table.
  void client(std::span<const char> bytes);
  void server(std::span<const char> bytes);
  // Called about once a second: a client that says nothing may keep too much, too.
  void on_tick();
  // The session is over: what it has told stays in the table for a while.
  void close();

  // Whether Postfix has answered all that the client has said; whether no transaction is open. Both
  // are false where that is not known.
  bool all_answered() const { return observer_ && observer_->all_answered(); }
  bool between_transactions() const { return observer_ && observer_->between_transactions(); }
  // Whether Postfix may have a message whole whose answer it owes; nothing where that is not known.
  std::optional<bool> owes_answer() const {
    return observer_ ? observer_->owes_answer() : std::nullopt;
  }
  // The number by which the kernel filter's events name this socket.
  std::uint64_t cookie() const { return cookie_; }
  static std::uint64_t cookie_of(int socket);

 private:
  void message(classifier::ObservedMessage&& message) override;
  void answered(std::uint32_t ordinal) override;
  void lost(classifier::Reason reason) override;
  std::shared_ptr<classifier::TlsStream> follow_tls(classifier::TlsLog::Start&& start,
                                                    classifier::ArrivalLog&& arrivals) override;

  void open(const net::Endpoint& client, const net::Endpoint& server);
  // `place`: of its first byte in the client's stream.
  bool credible(const capture::SegmentEvent& event, std::int64_t place);
  void notice_losses();
  void add_first_segment(std::size_t read);
  void judge(classifier::Via via);
  void follow_only();
  void learn_path();
  void observe_read(std::size_t size);
  // Tells the table whether the observer is behind.
  void tell_behind();
  // Nothing more is told of it.
  void stop(classifier::Reason reason);
  // Whether it has been observed for as long as it may be, and no message would be cut.
  bool too_old() const;
  // From here on nothing of it is evidence.
  void expire();
  // Says what the observer keeps; one that keeps too much for the process is stopped.
  void account();

  // Runs `look` on the observer. Whatever goes wrong in there stops the observing.
  template <typename Look>
  void observe(Look look);

  Host& host_;
  const int client_;
  const std::uint64_t cookie_;
  evidence::SessionKey session_;
  bool open_ = false;     // the table has it
  bool greeted_ = false;  // and knows that Postfix has greeted
  bool behind_ = false;   // and that the observer is behind
  const steady_clock::time_point began_;
  std::optional<std::uint32_t> first_seq_;  // of the first payload byte; nothing: not by the kernel
  std::uint32_t segments_seen_ = 0;         // tcpi_data_segs_in at the last read
  std::uint64_t first_event_ = UINT64_MAX;  // the lowest offset of an event; the maximum: none yet
  std::uint64_t next_ = 0;                  // offset behind what came without a gap
  std::optional<std::uint32_t> acked_;      // by the client, in the last segment without a gap
  std::uint32_t losses_;                    // Host::losses() when it was looked at
  bool behind_header_ = false;              // a balancer's
  classifier::Path path_;
  bool path_known_ = false;
  std::optional<classifier::Observer> observer_;
  evidence::Budget::Share share_;  // of what the observer keeps
  bool judged_ = true;             // else the observer follows the dialogue only
};

}  // namespace proxy
