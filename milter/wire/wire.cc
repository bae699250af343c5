#include "milter/wire/wire.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <time.h>

#include <chrono>
#include <csignal>

#include "milter/evidence/server.h"
#include "milter/log/log.h"
#include "milter/process/orders.h"
#include "milter/process/seccomp.h"
#include "milter/wire/flows.h"

namespace wire {
namespace {

// How often the ring, the expiry of connections and the counters are looked at. Chosen, not
// measured: nobody waits for it, because a question reads the ring itself. A shorter tick costs
// wake-ups on an idle machine, a longer one delays the expiry.
constexpr timeval kTick{0, 200'000};
// After an event was dropped, its client's messages are in doubt for at least this long. It is
// longer than a server may delay an acknowledgement (RFC 9293, 3.8.6.3), and the acknowledgement
// shows a flow what it has missed.
constexpr std::chrono::seconds kDoubt{1};

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

class Process final : private process::Orders::Listener {
 public:
  Process(const process::Start& start, capture::WireTap& tap, Counters& counters)
      : start_(start),
        tap_(tap),
        counters_(counters),
        table_(start.config.evidence.max_sessions, start.config.evidence.linger,
               start.config.evidence.max_bytes),
        flows_(table_, counters, start.config.wire.max_sessions, start.config.capture.max_segments,
               start.config.capture.max_session_time),
        base_(net::make_loop()),
        server_(base_.get(), start.config.evidence, table_,
                [this](const auto& client) { return look(client); }),
        orders_(base_.get(), start, *this) {}

  int run() {
    add(ring_, tap_.fd(), EV_READ | EV_PERSIST, nullptr,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->on_ring(); });
    add(tick_, -1, EV_PERSIST, &kTick,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->on_tick(); });
    process::confine(start_.part, start_.config);
    orders_.ready();
    event_base_dispatch(base_.get());
    logging::info(fmt::format("wire: {} connections, {} messages in clear, {} lost, {} evicted",
                              counters_.connections.load(), counters_.messages.load(),
                              counters_.lost.load(), counters_.evicted.load()));
    return EX_OK;
  }

 private:
  void add(net::Event& event, int fd, short what, const timeval* time, event_callback_fn callback) {
    event = net::make_event(base_.get(), fd, what, callback, this, time);
  }

  void abandoned() override { server_.close(); }
  void drain() override { event_base_loopbreak(base_.get()); }
  void serve_at(net::Fd listener) override { server_.serve_at(std::move(listener)); }

  void on_ring() { tap_.drain(flows_); }

  // A missing event may belong to the message in question. Without it another message could be
  // taken for this one.
  classifier::Reason look(const net::Endpoint& client) {
    if (!tap_.drain(flows_)) {
      ++counters_.late;
      return classifier::Reason::Overload;
    }
    return tap_.missed(client) ? classifier::Reason::Dropped : classifier::Reason::None;
  }

  void on_tick() {
    tap_.drain(flows_);
    flows_.expire(monotonic_ns());
    table_.expire(std::chrono::steady_clock::now());
    table_.tell(counters_.evidence);
    if (const auto dropped = tap_.dropped(); dropped != counters_.ring_full) {
      logging::warning(fmt::format(
          "wire: {} packets were not seen, because the ring was full (capture.ring_bytes)",
          dropped - counters_.ring_full.exchange(dropped)));
    }
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_mark_) {
      tap_.mark();
      next_mark_ = now + kDoubt;
    }
    if (server_.lost()) orders_.report_lost_socket(now);
    if (const auto more = overload_word_.more(counters_.overload, now)) {
      logging::warning(fmt::format(
          "overload: {} connections are not observed, because of evidence.max_bytes", more));
    }
  }

  const process::Start start_;
  capture::WireTap& tap_;
  Counters& counters_;
  evidence::Table table_;
  Flows flows_;
  net::EventBase base_;
  evidence::Server server_;
  process::Orders orders_;
  net::Event ring_;
  net::Event tick_;
  logging::RateLimit overload_word_;
  std::chrono::steady_clock::time_point next_mark_{};
};

}  // namespace

int run(const process::Start& start, capture::WireTap& tap, Counters& counters) {
  std::signal(SIGPIPE, SIG_IGN);
  return Process(start, tap, counters).run();
}

}  // namespace wire
