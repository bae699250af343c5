#include "milter/proxy/worker.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <exception>
#include <stdexcept>
#include <utility>

#include "milter/log/log.h"

namespace proxy {
namespace {

// How many clients one event accepts, so that a burst of new clients does not hold up the open
// sessions. Chosen, not measured.
constexpr int kAcceptsInOneTurn = 16;
// Timeouts are of whole seconds, so they are looked at once a second.
constexpr itimerspec kTick{{1, 0}, {1, 0}};

// The kernel gives out the lowest free descriptor, so its number shows how many are in use. Few are
// left when fewer are free than an eighth of the limit, or than 64 (32 sessions) if that is less.
int many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return INT_MAX;
  const auto all = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
  return all - std::min(64, all / 8);
}

net::EventBase make_base() {
  const net::EventConfig settings(event_config_new());
  // Each loop has one thread, so it needs no locks. With a change list, interest that is added and
  // removed within one turn costs no system call.
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  net::EventBase base(event_base_new_with_config(settings.get()));
  if (!base) throw std::runtime_error("make an event loop: libevent refused");
  return base;
}

}  // namespace

Worker::Worker(Shared& shared, const WorkerInput& input)
    : Host(shared, make_base(), input.sources),
      kernel_filter_(input.kernel_filter),
      wake_(net::check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "make an eventfd")),
      tick_(
          net::check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "make a timer")) {
  now_ = steady_clock::now();
  wake_event_ = net::make_event(
      base_.get(), wake_.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->on_order(); }, this);
  tick_event_ = net::make_event(
      base_.get(), tick_.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->on_tick(); }, this);
  if (kernel_filter_ != nullptr) {
    ring_event_ = net::make_event(
        base_.get(), kernel_filter_->fd(), EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* self) { static_cast<Worker*>(self)->drain_ring(); }, this);
  }
  for (const int fd : input.listeners) {
    listener_contexts_.push_back(std::make_unique<ListenerContext>(ListenerContext{this, fd}));
    listeners_.push_back(net::make_event(
        base_.get(), fd, EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* context) {
          auto* listener = static_cast<ListenerContext*>(context);
          listener->worker->accept(listener->fd);
        },
        listener_contexts_.back().get()));
  }
}

Worker::~Worker() {
  stop();
  sessions_.clear();
}

void Worker::start() {
  many_descriptors_ = many_descriptors();
  net::check(timerfd_settime(tick_.get(), 0, &kTick, nullptr), "start the tick");
  thread_ = std::thread([this] { event_base_dispatch(base_.get()); });
}

void Worker::drain() {
  order_.store(Order::Drain);
  eventfd_write(wake_.get(), 1);
}

void Worker::hand_over() {
  order_.store(Order::HandOver);
  eventfd_write(wake_.get(), 1);
  handed_over_.wait(false);
}

void Worker::close_sessions() {
  order_.store(Order::Close);
  eventfd_write(wake_.get(), 1);
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  order_.store(Order::Stop);
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

template <typename Act>
void Worker::for_each_session(Act act) {
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = at++->second;  // `session` may be destroyed below
    act(session);
    reap(session);
  }
}

void Worker::on_order() {
  eventfd_t ignored = 0;
  eventfd_read(wake_.get(), &ignored);
  const Order order = order_.load();
  if (order == Order::Run) return;
  listeners_.clear();
  if (order == Order::Stop) {
    event_base_loopbreak(base_.get());
    return;
  }
  draining_ = true;
  closing_ = order == Order::Close;
  if (order == Order::HandOver) {
    ring_event_.reset();
    kernel_filter_ = nullptr;
    transparent_sockets_.release_sources();
    handed_over_.store(true);
    handed_over_.notify_all();
  }
  for_each_session([](Session& session) { session.drain(); });
}

void Worker::on_tick() {
  std::uint64_t ticks = 0;
  (void)!::read(tick_.get(), &ticks, sizeof ticks);
  now_ = steady_clock::now();
  if (ticks > 1) late_until_ = now_ + kCalm;
  many_descriptors_ = many_descriptors();
  ticked_.store(now_, std::memory_order_relaxed);
  drain_ring();
  transparent_sockets_.on_tick();
  config_ = shared_.config.load();
  scratch_.resize(config_->proxy.buffer_bytes);  // no read is under way
  if (std::exchange(accept_paused_, false)) {
    for (const auto& listener : listeners_) {
      // If there is no memory for it, the next tick tries again.
      if (event_add(listener.get(), nullptr) < 0) accept_paused_ = true;
    }
  }
  for_each_session([this](Session& session) { session.on_tick(now_); });
}

void Worker::accept(int listener) {
  now_ = steady_clock::now();
  for (int turn = 0; turn < kAcceptsInOneTurn; ++turn) {
    sockaddr_storage storage;
    socklen_t size = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    net::Fd client(accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      // EAGAIN and a client that has already left are ordinary. Being out of descriptors or memory
      // is not: the listener stays readable, and without a pause this loop would spin.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        shared_.counters.accept_errors.fetch_add(1, std::memory_order_relaxed);
        accept_paused_ = true;
        for (const auto& ev : listeners_) event_del(ev.get());
      }
      return;
    }
    const auto endpoint = net::Endpoint::from(address);
    if (!endpoint) continue;
    try {
      admit(std::move(client), *endpoint);
    } catch (const std::exception& error) {
      logging::error(error.what());  // out of memory: this client's connection is closed
    }
  }
}

void Worker::admit(net::Fd client, const net::Endpoint& address) {
  auto& counters = shared_.counters;
  counters.accepted.fetch_add(1, std::memory_order_relaxed);
  const auto& limits = config_->proxy;
  auto [answer, place] = net::contains(limits.balancers, address)
                             ? shared_.admission.enter_unnamed(limits)
                             : shared_.admission.enter(address, limits, now_);
  if (answer != Admission::Answer::Admitted) {
    // The line is sent once and the socket is closed. A refused client gets no session.
    const auto [line, counter] = refusal(answer, counters);
    counter.fetch_add(1, std::memory_order_relaxed);
    ::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
    return;
  }
  const auto cookie = Watch::cookie_of(client.get());
  Host& self = *this;
  const auto [at, is_new] =
      sessions_.try_emplace(cookie, self, std::move(client), address, std::move(place));
  if (!is_new) return;  // cannot happen: the kernel gives no two sockets the same cookie
  session_count_.fetch_add(1, std::memory_order_relaxed);
  Session& session = at->second;
  session.start();
  adopt_orphans(session);
  reap(session);
}

void Worker::dispatch(Session& session, void (Session::*handler)(short), short what) {
  now_ = steady_clock::now();
  try {
    (session.*handler)(what);
  } catch (const std::exception& error) {
    // Bytes may have been read for which there was no memory to keep them. If the session is cut,
    // the client sends the message again. If it went on, the message would have a hole.
    logging::error(error.what());
    session.cut();
  }
  reap(session);
}

void Worker::reap(const Session& session) {
  if (session.state() != Session::State::Ended) return;
  session_count_.fetch_sub(1, std::memory_order_relaxed);
  sessions_.erase(session.cookie());
}

bool Worker::too_busy_to_observe(int fd) {
  auto& counters = shared_.counters;
  auto* short_of = fd >= many_descriptors_             ? &counters.overload_descriptors
                   : now_ < late_until_                ? &counters.overload_time
                   : shared_.table.budget().exceeded() ? &counters.overload_memory
                                                       : nullptr;
  if (short_of == nullptr) return false;
  short_of->fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Worker::drain_ring() {
  if (kernel_filter_ != nullptr) kernel_filter_->drain(*this);
}

void Worker::segment(const capture::SegmentEvent& event) {
  // The first event's count includes what was dropped under an earlier program; that is not
  // counted.
  const std::uint32_t more =
      event.dropped - std::exchange(dropped_, event.dropped).value_or(event.dropped);
  losses_ += more;
  if (more != 0) shared_.counters.ring_full.fetch_add(more, std::memory_order_relaxed);
  const auto found = sessions_.find(event.cookie);
  if (found != sessions_.end()) {
    found->second.segment(event);
    return;
  }
  orphans_[orphan_next_++ % kOrphans] = event;
}

void Worker::adopt_orphans(Session& session) {
  if (orphan_next_ == 0) return;
  // Oldest first, so that the segments of a stream stay in order.
  for (std::size_t i = 0; i < kOrphans; ++i) {
    auto& event = orphans_[(orphan_next_ + i) % kOrphans];
    if (event.cookie != session.cookie()) continue;
    session.segment(event);
    event.cookie = 0;
  }
}

}  // namespace proxy
