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

constexpr char kFull[] = "421 4.3.2 Too many connections, try again later\r\n";  // RFC 3463, 3.4

constexpr int kAcceptsInOneTurn = 16;
constexpr itimerspec kTick{{1, 0}, {1, 0}};

// The lowest free descriptor is taken, so its number tells how many are in use. Few are left when
// an eighth is, or what 32 sessions take.
int many_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return INT_MAX;
  const auto all = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
  return all - std::min(64, all / 8);
}

net::EventBase make_base() {
  const net::EventConfig settings(event_config_new());
  // One thread a loop, so no locks; interest that comes and goes within a turn costs no system
  // call.
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  net::EventBase base(event_base_new_with_config(settings.get()));
  if (!base) throw std::runtime_error("make an event loop: libevent refused");
  return base;
}

using Tally = std::unordered_map<net::Endpoint, unsigned>;

bool has(const Tally& tally, const net::Endpoint& who, unsigned most) {
  const auto found = tally.find(who);
  return found != tally.end() && found->second >= most;
}

void take_one(Tally& tally, const net::Endpoint& who) {
  const auto found = tally.find(who);
  if (found != tally.end() && --found->second == 0) tally.erase(found);
}

// By default no network can have all sessions, and none is refused while half of them are free.
unsigned most_of_network(const config::Proxy& limits) {
  return limits.max_sessions_per_network != 0 ? limits.max_sessions_per_network
                                              : std::max(1U, limits.max_sessions / 2);
}

}  // namespace

Refusal refusal(Admission::Answer answer, Counters& counters) {
  switch (answer) {
    case Admission::Answer::TooManyOfAddress:
      return {kTooMany, counters.refused_address};
    case Admission::Answer::TooManyOfNetwork:
      return {kTooManyOfNetwork, counters.refused_network};
    case Admission::Answer::TooFast:
      return {kTooFast, counters.refused_rate};
    case Admission::Answer::Admitted:  // is not refused
    case Admission::Answer::Full:
      break;
  }
  return {kFull, counters.refused_full};
}

Admission::Answer Admission::enter(const net::Endpoint& client, const config::Proxy& limits,
                                   steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (sessions_ >= limits.max_sessions) return Answer::Full;
  const auto answer = count(client, limits, now);
  if (answer == Answer::Admitted) ++sessions_;
  return answer;
}

Admission::Answer Admission::count(const net::Endpoint& client, const config::Proxy& limits,
                                   steady_clock::time_point now) {
  const net::Endpoint site = client.site();
  const net::Endpoint network = client.network();
  if (has(of_address_, site, limits.max_sessions_per_address)) return Answer::TooManyOfAddress;
  if (has(of_network_, network, most_of_network(limits))) return Answer::TooManyOfNetwork;
  const unsigned a_minute = limits.max_rate_per_address;
  if (a_minute != 0 && rates_.exceeded(site, a_minute, std::chrono::minutes(1), now)) {
    return Answer::TooFast;
  }
  ++of_address_[site];
  ++of_network_[network];
  return Answer::Admitted;
}

std::size_t Admission::rates() const {
  const std::lock_guard lock(mutex_);
  return rates_.size();
}

Admission::Answer Admission::enter_unnamed(const config::Proxy& limits) {
  const std::lock_guard lock(mutex_);
  if (sessions_ >= limits.max_sessions) return Answer::Full;
  ++sessions_;
  return Answer::Admitted;
}

Admission::Answer Admission::name(const net::Endpoint& client, const config::Proxy& limits,
                                  steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  return count(client, limits, now);
}

void Admission::leave_unnamed() {
  const std::lock_guard lock(mutex_);
  --sessions_;
}

void Admission::leave(const net::Endpoint& client) {
  const std::lock_guard lock(mutex_);
  --sessions_;
  take_one(of_address_, client.site());
  take_one(of_network_, client.network());
}

std::size_t Admission::sessions() const {
  const std::lock_guard lock(mutex_);
  return sessions_;
}

Worker::Worker(Shared& shared, const WorkerInput& input)
    : shared_(shared),
      config_(shared.config.load()),
      kernel_filter_(input.kernel_filter),
      scratch_(config_->proxy.buffer_bytes),
      base_(make_base()),
      wake_(net::check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "make an eventfd")),
      tick_(
          net::check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "make a timer")),
      now_(steady_clock::now()) {
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
    handed_over_.store(true);
    handed_over_.notify_all();
  }
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = *at++;  // the session may go
    session.drain();
    reap(session);
  }
}

void Worker::on_tick() {
  std::uint64_t ticks = 0;
  (void)!::read(tick_.get(), &ticks, sizeof ticks);
  now_ = steady_clock::now();
  if (ticks > 1) late_until_ = now_ + kCalm;
  many_descriptors_ = many_descriptors();
  ticked_.store(now_, std::memory_order_relaxed);
  drain_ring();
  config_ = shared_.config.load();
  scratch_.resize(config_->proxy.buffer_bytes);  // nobody reads into it now
  if (std::exchange(accept_paused_, false)) {
    for (const auto& listener : listeners_) {
      // Without memory for it, the next tick has some.
      if (event_add(listener.get(), nullptr) < 0) accept_paused_ = true;
    }
  }
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    Session& session = *at++;  // the session may go
    session.on_tick(now_);
    reap(session);
  }
}

void Worker::accept(int listener) {
  now_ = steady_clock::now();
  for (int turn = 0; turn < kAcceptsInOneTurn; ++turn) {
    sockaddr_storage storage;
    socklen_t size = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    net::Fd client(accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      // EAGAIN and a client that has left already are ordinary. Out of descriptors or memory is
      // not: the listener stays readable, and without a pause this loop would spin.
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
      logging::error(error.what());  // out of memory: this client finds its connection closed
    }
  }
}

void Worker::admit(net::Fd client, const net::Endpoint& address) {
  auto& counters = shared_.counters;
  counters.accepted.fetch_add(1, std::memory_order_relaxed);
  const bool balancer = net::contains(config_->proxy.balancers, address);
  const auto answer = balancer ? shared_.admission.enter_unnamed(config_->proxy)
                               : shared_.admission.enter(address, config_->proxy, now_);
  if (answer != Admission::Answer::Admitted) {
    // Said in one go and closed; a client that is one too many is not worth a session.
    const auto [line, counter] = refusal(answer, counters);
    counter.fetch_add(1, std::memory_order_relaxed);
    ::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
    return;
  }
  try {
    sessions_.emplace_back(*this, std::move(client), address, !balancer);
  } catch (const std::exception&) {
    balancer ? shared_.admission.leave_unnamed() : shared_.admission.leave(address);
    throw;
  }
  Session& session = sessions_.back();
  session.self_ = std::prev(sessions_.end());
  by_cookie_[session.cookie()] = &session;
  session_count_.fetch_add(1, std::memory_order_relaxed);
  session.start();
  adopt_orphans(session);
  reap(session);
}

template <void (Session::*method)(short)>
void Worker::on_session(evutil_socket_t, short what, void* context) {
  auto& session = *static_cast<Session*>(context);
  Worker& worker = session.worker_;
  worker.now_ = steady_clock::now();
  try {
    (session.*method)(what);
  } catch (const std::exception& error) {
    // Bytes may have been read that found no memory to wait in. Cut, the client sends the message
    // again; carried on, it would have a hole.
    logging::error(error.what());
    session.cut();
  }
  worker.reap(session);
}
template void Worker::on_session<&Session::on_client>(evutil_socket_t, short, void*);
template void Worker::on_session<&Session::on_upstream>(evutil_socket_t, short, void*);
template void Worker::on_session<&Session::on_pause>(evutil_socket_t, short, void*);

void Worker::reap(Session& session) {
  if (session.state() != Session::State::Ended) return;
  if (session.introduced()) {
    shared_.admission.leave(session.address());
  } else {
    shared_.admission.leave_unnamed();
  }
  by_cookie_.erase(session.cookie());
  session_count_.fetch_sub(1, std::memory_order_relaxed);
  sessions_.erase(session.self_);
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
  // What a program before this one had dropped is no news.
  const std::uint32_t more =
      event.dropped - std::exchange(losses_, event.dropped).value_or(event.dropped);
  if (more != 0) shared_.counters.ring_full.fetch_add(more, std::memory_order_relaxed);
  const auto found = by_cookie_.find(event.cookie);
  if (found != by_cookie_.end()) {
    found->second->segment(event);
    return;
  }
  orphans_[orphan_next_++ % kOrphans] = event;
}

void Worker::adopt_orphans(Session& session) {
  if (orphan_next_ == 0) return;
  // Oldest first, so that a stream's segments stay in order.
  for (std::size_t i = 0; i < kOrphans; ++i) {
    auto& event = orphans_[(orphan_next_ + i) % kOrphans];
    if (event.cookie != session.cookie()) continue;
    session.segment(event);
    event.cookie = 0;
  }
}

}  // namespace proxy
