// One thread: a loop with its listeners, sessions and kernel filter. Workers share nothing but the
// evidence table, the admission, the counters and the configuration.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "milter/net/event.h"
#include "milter/net/fd.h"
#include "milter/proxy/host.h"
#include "milter/proxy/proxy.h"
#include "milter/proxy/session.h"

namespace proxy {

class Worker final : private Host, private capture::KernelFilter::Sink {
 public:
  Worker(Shared& shared, const WorkerInput& input);
  ~Worker() override;

  // Runs the loop in a new thread until stop().
  void start();
  // From any thread: accepts no more clients; sessions go on to the end of their transaction.
  void drain();
  // From any thread: as drain(), and the kernel filter now belongs to another program. Returns when
  // this worker no longer uses it. From here on, messages of open sessions are not observed.
  void hand_over();
  // From any thread: as drain(), but the time for it is over. Only sessions in which Postfix may
  // owe the answer to a message go on, until the answer has come.
  void close_sessions();
  // From any thread: cuts the sessions, ends the loop and joins the thread.
  void stop();
  // From any thread: when the loop's clock last ticked.
  steady_clock::time_point last_tick() const { return ticked_.load(std::memory_order_relaxed); }
  // From any thread.
  std::size_t sessions() const { return session_count_.load(std::memory_order_relaxed); }

 private:
  enum class Order { Run, Drain, HandOver, Close, Stop };
  // Segments of connections that are not accepted yet, for all sessions together. Chosen, not
  // measured: if more come between two accepts, the oldest are lost, and those messages may
  // be partial.
  static constexpr std::size_t kOrphans = 64;
  // After a late tick: how long all ticks must be in time before new sessions are observed again.
  // Chosen, not measured: a shorter time would let the load swing, a longer one leaves more mail
  // unobserved.
  static constexpr std::chrono::seconds kCalm{10};

  steady_clock::time_point clock() const override { return steady_clock::now(); }
  bool kernel_capture() const override { return kernel_filter_ != nullptr; }
  void drain_ring() override;
  bool too_busy_to_observe(int fd) override;
  void dispatch(Session& session, void (Session::*handler)(short), short what) override;
  void segment(const capture::SegmentEvent& event) override;

  void accept(int listener);
  void admit(net::Fd client, const net::Endpoint& address);
  void on_order();
  void on_tick();
  // Calls `act` with each session, and destroys those that have Ended after it.
  template <typename Act>
  void for_each_session(Act act);
  void reap(const Session& session);
  void adopt_orphans(Session& session);

  capture::KernelFilter* kernel_filter_;
  std::optional<std::uint32_t> dropped_;  // of the last event; nothing: no event yet
  net::Fd wake_;                          // eventfd: an order has come
  net::Event wake_event_;
  // A timerfd, not a timer of the loop: for that one libevent would set and cancel a kernel timer
  // at every wait.
  net::Fd tick_;
  net::Event tick_event_;
  net::Event ring_event_;  // the ring fills while no socket of this worker becomes readable
  std::vector<net::Event> listeners_;
  struct ListenerContext {
    Worker* worker;
    int fd;
  };
  std::vector<std::unique_ptr<ListenerContext>> listener_contexts_;
  std::unordered_map<std::uint64_t, Session> sessions_;  // by their sockets' cookies
  // Segments of connections that are not accepted yet (early talkers). It is used as a ring.
  std::array<capture::SegmentEvent, kOrphans> orphans_{};
  std::size_t orphan_next_ = 0;
  bool accept_paused_ = false;
  int many_descriptors_ = 0;  // a descriptor of this number or above shows that few are left
  steady_clock::time_point late_until_;
  std::atomic<Order> order_{Order::Run};
  std::atomic<bool> handed_over_{false};
  std::atomic<steady_clock::time_point> ticked_{steady_clock::now()};
  std::atomic<std::size_t> session_count_{0};
  std::thread thread_;
};

}  // namespace proxy
