// One thread: a loop, its listeners, its sessions, its kernel filter. Workers share nothing but the
// evidence table, the admission counters and the configuration.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "milter/config/config.h"
#include "milter/evidence/table.h"
#include "milter/log/log.h"
#include "milter/net/pace.h"
#include "milter/proxy/counters.h"
#include "milter/proxy/proxy.h"
#include "milter/proxy/session.h"

namespace proxy {

// RFC 3463, 3.8: a policy on this client.
inline constexpr std::string_view kTooFast =
    "421 4.7.0 Too many new connections from your address\r\n";
inline constexpr std::string_view kTooMany = "421 4.7.0 Too many connections from your address\r\n";

inline constexpr std::string_view kTooManyOfNetwork =
    "421 4.7.0 Too many connections from your network\r\n";

// Who may come in: how many sessions in all, how many of one client (an IPv4 address or an IPv6
// /64, because a host is given a /64), how many of one network (an IPv4 /24 or an IPv6 /48, which
// has 65,536 times a /64), and how many new ones of a client in a minute. Safe from any thread.
class Admission {
 public:
  enum class Answer { Admitted, Full, TooManyOfAddress, TooManyOfNetwork, TooFast };
  Answer enter(const net::Endpoint& client, const config::Proxy& limits,
               steady_clock::time_point now);
  void leave(const net::Endpoint& client);
  // The same in two steps, for a session whose balancer has yet to name the client: it counts among
  // all at once, and as the client's when it is named. One that never was leaves unnamed.
  Answer enter_unnamed(const config::Proxy& limits);
  Answer name(const net::Endpoint& client, const config::Proxy& limits,
              steady_clock::time_point now);
  void leave_unnamed();
  std::size_t sessions() const;
  std::size_t rates() const;

 private:
  // Requires the lock.
  Answer count(const net::Endpoint& client, const config::Proxy& limits,
               steady_clock::time_point now);

  mutable std::mutex mutex_;
  std::unordered_map<net::Endpoint, unsigned> of_address_;
  std::unordered_map<net::Endpoint, unsigned> of_network_;
  net::Pace rates_;
  std::size_t sessions_ = 0;
};

// What a client that is not admitted is told, and where it is counted.
struct Refusal {
  std::string_view line;
  std::atomic<std::uint64_t>& counter;
};
Refusal refusal(Admission::Answer answer, Counters& counters);

// What all workers of a process share.
struct Shared {
  std::atomic<std::shared_ptr<const config::Config>> config;
  evidence::Table& table;
  Counters& counters;
  Admission admission;
  logging::Sometimes introductions_word{};
  logging::Sometimes unanswered_word{};
};

class Worker final : private capture::KernelFilter::Sink {
 public:
  Worker(Shared& shared, const WorkerInput& input);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs the loop in a thread of its own until stop().
  void start();
  // From any thread: no more clients are accepted, sessions go on to the end of their transaction.
  void drain();
  // From any thread: as drain(), and the kernel filter is another program's; returns once this
  // worker has let go of it. Messages of the sessions that are open are not seen from here on.
  void hand_over();
  // From any thread: as drain(), and the time for it is over: only those sessions go on in which
  // Postfix may owe the answer to a message, until that has come.
  void close_sessions();
  // From any thread: sessions are cut, the loop ends; joins the thread.
  void stop();
  // From any thread: when the loop last went round by the clock.
  steady_clock::time_point last_tick() const { return ticked_.load(std::memory_order_relaxed); }
  // From any thread.
  std::size_t sessions() const { return session_count_.load(std::memory_order_relaxed); }

  // For the worker's sessions.
  event_base* base() const { return base_.get(); }
  const config::Config& config() const { return *config_; }
  Shared& shared() { return shared_; }
  std::span<char> scratch() { return scratch_; }
  steady_clock::time_point now() const { return now_; }
  // Whether a new session, whose client has descriptor `fd`, is to be relayed without an observer,
  // because descriptors, time or memory are short; counts it.
  bool too_busy_to_observe(int fd);
  // No more clients come in; those between two transactions are asked to go.
  bool draining() const { return draining_; }
  // The time for that is over.
  bool closing() const { return closing_; }
  bool kernel_capture() const { return kernel_filter_ != nullptr; }
  // Brings what the kernel filter saw to the sessions. Before bytes are observed: the segments they
  // came in are in the ring by then.
  void drain_ring();
  // Events that found the ring full, so far; wraps.
  std::uint32_t losses() const { return losses_.value_or(0); }

 private:
  enum class Order { Run, Drain, HandOver, Close, Stop };
  static constexpr std::size_t kOrphans = 64;
  // After a tick that came late, until all have come in time for so long.
  static constexpr std::chrono::seconds kCalm{10};

  void accept(int listener);
  void admit(net::Fd client, const net::Endpoint& address);
  void on_order();
  void on_tick();
  void reap(Session& session);
  template <void (Session::*method)(short)>
  static void on_session(evutil_socket_t, short what, void* session);
  void segment(const capture::SegmentEvent& event) override;
  void adopt_orphans(Session& session);
  friend class Session;

  Shared& shared_;
  std::shared_ptr<const config::Config> config_;  // refreshed at each tick
  capture::KernelFilter* kernel_filter_;
  std::optional<std::uint32_t> losses_;  // nothing: no event was seen yet
  std::vector<char> scratch_;
  net::EventBase base_;
  net::Fd wake_;  // eventfd: an order has come
  net::Event wake_event_;
  // A timer of the loop's own would make it set and cancel a kernel timer at every wait.
  net::Fd tick_;
  net::Event tick_event_;
  net::Event ring_event_;  // the ring fills, and nothing of ours becomes readable
  std::vector<net::Event> listeners_;
  struct ListenerContext {
    Worker* worker;
    int fd;
  };
  std::vector<std::unique_ptr<ListenerContext>> listener_contexts_;
  std::list<Session> sessions_;
  std::unordered_map<std::uint64_t, Session*> by_cookie_;
  // Segments of connections that are not accepted yet: early talkers. A ring of its own.
  std::array<capture::SegmentEvent, kOrphans> orphans_{};
  std::size_t orphan_next_ = 0;
  steady_clock::time_point now_;
  bool accept_paused_ = false;
  int many_descriptors_ = 0;  // a descriptor of this number tells that few are left
  steady_clock::time_point late_until_;
  bool draining_ = false;
  bool closing_ = false;
  std::atomic<Order> order_{Order::Run};
  std::atomic<bool> handed_over_{false};
  std::atomic<steady_clock::time_point> ticked_{steady_clock::now()};
  std::atomic<std::size_t> session_count_{0};
  std::thread thread_;
};

}  // namespace proxy
