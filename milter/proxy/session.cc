#include "milter/proxy/session.h"

// linux/tcp.h, not netinet/tcp.h: glibc's tcp_info ends before the fields that are read here.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <string_view>
#include <utility>

#include "milter/capture/saved_syn.h"
#include "milter/capture/sha256.h"
#include "milter/log/log.h"
#include "milter/proxy/worker.h"

namespace proxy {
namespace {

// RFC 5321, 3.8: 421 may be said at any time; 4.3.2: system not accepting network messages.
constexpr std::string_view kDraining = "421 4.3.2 Service is being restarted, try again later\r\n";
constexpr std::string_view kNoUpstream = "421 4.3.2 Service not available, try again later\r\n";

// How long a refused client may take to go, and one whose server has closed.
constexpr std::chrono::seconds kRefusingTime{5};
constexpr std::chrono::seconds kClosingTime{30};

// Health checks that only connect have gone by then, and Postfix need not hear of them.
constexpr timeval kLocalPause{0, 50'000};
// Segments that come before a balancer's header has been read: the header's own, and those of a
// client that speaks before it is greeted.
constexpr std::size_t kMostHeld = 64;
constexpr std::chrono::minutes kBetweenComplaints{1};

// Reads in one turn while the scratch buffer comes back full, so that one fast client does not
// hold up the others of its worker.
constexpr int kReadsInOneTurn = 4;

std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
  return cookie;
}

std::optional<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  return info;
}

}  // namespace

Session::Session(Worker& worker, net::Fd client, const net::Endpoint& address, bool introduced)
    : worker_(worker),
      client_(std::move(client)),
      address_(address),
      last_active_(worker.now()),
      cookie_(cookie_of(client_.get())),
      share_(worker.shared().table.budget()),
      began_(worker.now()) {
  if (introduced) return;
  introduction_ = std::make_unique<Introduction>();
  introduction_->since = worker.now();
  enter(State::Introducing);
}

Session::~Session() {
  // Events first: they must not outlive their descriptors.
  client_event_.reset();
  upstream_event_.reset();
}

void Session::start() {
  learn_syn();
  if (introduced()) begin(/*balanced=*/false);
  update_interest();
}

void Session::begin(bool balanced) {
  using classifier::Via;
  const auto& capture = worker_.config().capture;
  if (balanced && !worker_.config().proxy.balancer_transparent) {
    // Its segments are nobody's, but where transactions end, a drain is to know.
    capture::KernelFilter::ignore(client_.get());
    lost(classifier::Reason::Balancer);
    unjudged_ = true;
    first_seq_.reset();
    observe([&] {
      observer_.emplace(static_cast<classifier::Observer::Sink&>(*this), Via::Balancer,
                        classifier::Observer::Limits{});
    });
  } else if (capture.method == config::Capture::Method::Off) {
    lost(classifier::Reason::NoCapture);
  } else if (worker_.too_busy_to_observe(client_.get())) {
    stop_observing(classifier::Reason::Overload);
  } else {
    // Without the sequence number of the SYN, segments have no place in the stream.
    const bool kernel = worker_.kernel_capture() && first_seq_;
    observe([&] {
      observer_.emplace(static_cast<classifier::Observer::Sink&>(*this),
                        !kernel    ? Via::Read
                        : balanced ? Via::Balancer
                                   : Via::Kernel,
                        classifier::Observer::Limits{.segments = capture.max_segments});
    });
    if (!kernel) first_seq_.reset();
  }
  connect_upstream();
}

// All that has come belongs to the header until the header is whole, so it is taken from the socket
// at once: left there, it would keep the socket readable and this loop busy. Behind the header
// nothing is taken: a byte of the stream that follows is the relay's.
void Session::read_introduction() {
  auto& bytes = introduction_->bytes;
  const std::size_t before = bytes.size();
  const auto room =
      worker_.scratch().first(std::min(net::kMostProxyHeader - before, worker_.scratch().size()));
  const ssize_t got = ::recv(client_.get(), room.data(), room.size(), MSG_PEEK);
  if (got < 0 && errno == EAGAIN) return;
  // A check whether the port is open, if not a byte came; or one that said LOCAL and has seen
  // enough.
  if (got <= 0 && (before == 0 || introduction_->pause)) return enter(State::Ended);
  if (got <= 0) return refuse_introduction("it left in the middle of its PROXY header");
  if (introduction_->pause) return on_pause(EV_TIMEOUT);
  bytes.append(room.data(), static_cast<std::size_t>(got));
  const auto header = net::read_proxy_header(bytes);
  if (header.outcome == net::ProxyHeader::Outcome::Refused) {
    return refuse_introduction(header.reason);
  }
  const bool whole = header.outcome == net::ProxyHeader::Outcome::Complete;
  const std::size_t end = whole ? header.size : bytes.size();
  // Peeked a moment ago, so it is there.
  (void)!::recv(client_.get(), room.data(), end - before, 0);
  bytes.resize(end);
  if (!whole) return;
  if (!header.local) return introduce(header);
  introduction_->pause.reset(
      event_new(worker_.base(), -1, 0, &Worker::on_session<&Session::on_pause>, this));
  if (!introduction_->pause) return introduce(header);
  event_add(introduction_->pause.get(), &kLocalPause);
  read_introduction();  // it may have gone already
}

void Session::on_pause(short) {
  if (state_ != State::Introducing) return;  // over before the pause was
  introduce({.outcome = net::ProxyHeader::Outcome::Complete,
             .size = introduction_->bytes.size(),
             .local = true});
  update_interest();
}

void Session::introduce(const net::ProxyHeader& header) {
  if (!header.local) {
    address_ = header.client;
    local_ = header.server;
  }
  // The segments that the header came in are in the ring by now. They belong to the stream from
  // where it ends: one may hold the client's first bytes as well.
  worker_.drain_ring();
  auto& admission = worker_.shared().admission;
  const auto answer = admission.name(address_, worker_.config().proxy, worker_.now());
  if (answer != Admission::Answer::Admitted) {
    const auto [line, counter] = refusal(answer, worker_.shared().counters);
    counter.fetch_add(1, std::memory_order_relaxed);
    return refuse(line);
  }
  const auto segments = std::move(introduction_->segments);
  introduction_.reset();
  if (first_seq_) *first_seq_ += static_cast<std::uint32_t>(header.size);
  segments_seen_ = 1;  // the header's
  enter(State::Connecting);
  begin(/*balanced=*/true);
  for (const auto& event : segments) segment(event);
}

void Session::refuse_introduction(std::string_view reason) {
  auto& shared = worker_.shared();
  const auto count =
      shared.counters.introductions_refused.fetch_add(1, std::memory_order_relaxed) + 1;
  enter(State::Ended);
  // A balancer that is set up wrongly errs with every connection.
  const auto now = worker_.now().time_since_epoch();
  auto due = shared.complain_after.load(std::memory_order_relaxed);
  if (now < due || !shared.complain_after.compare_exchange_strong(due, now + kBetweenComplaints)) {
    return;
  }
  logging::warning(fmt::format("proxy.balancers: {} is one of them, but {}: closed, {} so far",
                               address_.print(), reason, count));
}

void Session::learn_syn() {
  std::array<std::uint8_t, 512> packet;
  socklen_t size = packet.size();
  if (getsockopt(client_.get(), IPPROTO_TCP, TCP_SAVED_SYN, packet.data(), &size) == 0 &&
      size > 0) {
    if (auto syn = capture::parse_syn({packet.data(), size})) {
      first_seq_ = syn->isn + 1;
      local_ = syn->destination;
      path_.mss = syn->mss;
      path_.timestamps = syn->timestamps;
      path_.syn = std::move(syn->signature);
    }
  }
  if (local_.port() != 0) return;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(client_.get(), address, &length) == 0) {
    local_ = net::Endpoint::from(address).value_or(net::Endpoint{});
  }
}

// Called when the client has answered the greeting, so that the round trip has been measured.
void Session::learn_path() {
  path_known_ = true;
  constexpr std::uint32_t kTimestampOption = 12;  // RFC 7323, appendix A: with its padding
  const auto info = info_of(client_.get());
  if (info) {
    path_.timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
    path_.rtt_us = info->tcpi_min_rtt == ~0U ? info->tcpi_rtt : info->tcpi_min_rtt;
  }
  if (path_.timestamps && path_.mss > kTimestampOption) path_.mss -= kTimestampOption;
  // What the client may send is bound by its own link, for which the MSS that it announces stands,
  // and by what it was told, from which Linux has taken the timestamps already.
  if (info && info->tcpi_advmss != 0 && (path_.mss == 0 || info->tcpi_advmss < path_.mss)) {
    path_.mss = info->tcpi_advmss;
  }
  observer_->set_path(path_);
}

void Session::connect_upstream() {
  const auto& settings = worker_.config().proxy;
  sockaddr_storage storage;
  const socklen_t length = settings.upstream->fill(storage);
  upstream_ = net::Fd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!upstream_) return give_up();
  const int on = 1;
  setsockopt(upstream_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int result = connect(upstream_.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  if (result < 0 && errno != EINPROGRESS) return give_up();
  proxy_header_ = settings.upstream_protocol == config::Proxy::Protocol::ProxyV1
                      ? net::proxy_v1(address_, local_)
                      : net::proxy_v2(address_, local_);
  // On loopback the connection is there already, and one turn of the loop is saved.
  begin_relaying();
}

void Session::begin_relaying() {
  const ssize_t sent =
      ::send(upstream_.get(), proxy_header_.data(), proxy_header_.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN) return;
    return give_up();
  }
  // A new connection's buffer takes these few bytes as a whole; if it ever did not, Postfix would
  // read a cut header as a broken one, so the rest must not be forgotten.
  proxy_header_.erase(0, static_cast<std::size_t>(sent));
  if (proxy_header_.empty()) enter(State::Relaying);
}

void Session::on_client(short what) {
  last_active_ = worker_.now();
  if (state_ == State::Introducing) {
    read_introduction();
    return update_interest();
  }
  if (state_ == State::Refusing) {
    const ssize_t got =
        ::recv(client_.get(), worker_.scratch().data(), worker_.scratch().size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) enter(State::Ended);
    return update_interest();
  }
  if (what & EV_WRITE) outbound_.flush(client_.get());
  if ((what & EV_READ) && inbound_.wants_read()) client_to_upstream();
  settle();
}

void Session::on_upstream(short what) {
  last_active_ = worker_.now();
  if (state_ == State::Connecting) {
    begin_relaying();
    return update_interest();
  }
  if (state_ != State::Relaying) return update_interest();
  if (what & EV_WRITE) inbound_.flush(upstream_.get());
  if ((what & EV_READ) && outbound_.wants_read()) upstream_to_client();
  settle();
}

void Session::client_to_upstream() {
  const bool old = worker_.now() - began_ >= worker_.config().capture.max_session_time;
  if (old && observer_ && !unjudged_ && observer_->idle()) expire();
  for (int turn = 0; turn < kReadsInOneTurn && inbound_.wants_read(); ++turn) {
    std::span<const char> bytes;
    if (inbound_.read(client_.get(), worker_.scratch(), bytes) != Relay::Read::Bytes) return;
    // Observed before it is sent: when Postfix has a message's end, its evidence is in the table.
    if (observer_) {
      observe([&] {
        if (!path_known_ && !unjudged_) learn_path();
        if (first_seq_) {
          worker_.drain_ring();
          if (!observer_) return;  // among the segments was one of ours, and no memory for it
        } else if (!unjudged_) {
          observe_read(bytes.size());
        }
        observer_->client(bytes);
        account();
      });
    }
    inbound_.write(upstream_.get(), bytes);
    if (bytes.size() < worker_.scratch().size()) return;
  }
}

void Session::upstream_to_client() {
  for (int turn = 0; turn < kReadsInOneTurn && outbound_.wants_read(); ++turn) {
    std::span<const char> bytes;
    if (outbound_.read(upstream_.get(), worker_.scratch(), bytes) != Relay::Read::Bytes) return;
    if (observer_) observe([&] { observer_->server(bytes); });
    outbound_.write(client_.get(), bytes);
    if (bytes.size() < worker_.scratch().size()) return;
  }
}

void Session::settle() {
  // Both have ended: the close says it to both, and two calls of shutdown are saved.
  if (inbound_.empty_at_end() && outbound_.empty_at_end() && outbound_.used()) {
    enter(State::Ended);
    return update_interest();
  }
  if (inbound_.state() == Relay::State::Flushing) inbound_.flush(upstream_.get());
  if (outbound_.state() == Relay::State::Flushing) {
    // Postfix took the connection and closed it without a word: it is being stopped. A client that
    // has spoken first is not waiting for one (TLS, plain text on a port of TLS): to it, as it was
    // said.
    if (!outbound_.used() && !inbound_.used() && inbound_.state() == Relay::State::Open) {
      give_up();
      return update_interest();
    }
    outbound_.flush(client_.get());
  }
  if (inbound_.over() && outbound_.over()) enter(State::Ended);
  update_interest();
  if (worker_.draining()) drain();
}

void Session::update_interest() {
  short client = 0;
  short upstream = 0;
  switch (state_) {
    case State::Introducing:
      client = EV_READ;
      break;
    case State::Connecting:
      upstream = EV_WRITE;
      break;
    case State::Relaying:
      if (inbound_.wants_read()) client |= EV_READ;
      if (outbound_.wants_write()) client |= EV_WRITE;
      if (outbound_.wants_read()) upstream |= EV_READ;
      if (inbound_.wants_write()) upstream |= EV_WRITE;
      break;
    case State::Refusing:
      client = EV_READ;
      break;
    case State::Ended:
      break;
  }
  bool registered = true;
  const auto apply = [&](net::Event& ev, short& has, short wants, int fd,
                         event_callback_fn callback) {
    if (has == wants) return;
    has = wants;
    ev.reset();
    if (wants == 0) return;
    ev.reset(event_new(worker_.base(), fd, static_cast<short>(wants | EV_PERSIST), callback, this));
    registered = registered && ev && event_add(ev.get(), nullptr) == 0;
  };
  apply(client_event_, client_interest_, client, client_.get(),
        &Worker::on_session<&Session::on_client>);
  apply(upstream_event_, upstream_interest_, upstream, upstream_.get(),
        &Worker::on_session<&Session::on_upstream>);
  // No memory to wait with. Left alone, it would hang until it counts as idle.
  if (!registered && state_ != State::Ended) cut();
}

void Session::on_tick(steady_clock::time_point now) {
  const auto idle = now - last_active_;
  const auto& limits = worker_.config().proxy;
  switch (state_) {
    case State::Introducing:
      // Since it came: a header that drips is one that does not come.
      if (!introduction_->pause && now - introduction_->since >= limits.balancer_timeout) {
        refuse_introduction("its PROXY header did not come in time");
      }
      break;
    case State::Connecting:
      if (idle >= limits.connect_timeout) give_up();
      break;
    case State::Relaying:
      if (idle >= limits.idle_timeout || (outbound_.over() && idle >= kClosingTime)) {
        enter(State::Ended);
      }
      break;
    case State::Refusing:
      if (idle >= kRefusingTime) enter(State::Ended);
      break;
    case State::Ended:
      break;
  }
  update_interest();
}

void Session::cut() {
  enter(State::Ended);
  update_interest();
}

void Session::drain() {
  if (state_ != State::Relaying || !observer_ || !observer_->between_transactions()) return;
  if (!inbound_.wants_read() || !outbound_.wants_read()) return;
  worker_.shared().counters.drained.fetch_add(1, std::memory_order_relaxed);
  refuse(kDraining);
  update_interest();
}

void Session::give_up() {
  worker_.shared().counters.upstream_failed.fetch_add(1, std::memory_order_relaxed);
  refuse(kNoUpstream);
}

// Our own word to the client, and no other behind it.
void Session::refuse(std::string_view line) {
  ::send(client_.get(), line.data(), line.size(), MSG_NOSIGNAL);
  ::shutdown(client_.get(), SHUT_WR);
  upstream_event_.reset();
  upstream_interest_ = 0;
  upstream_.reset();
  enter(State::Refusing);
}

void Session::enter(State state) {
  state_ = state;
  if (state != State::Ended) return;
  share_.set(0);  // what is left is the table's
  worker_.shared().table.close(address_, cookie_, worker_.now());
}

void Session::segment(const capture::SegmentEvent& event) {
  if (introduction_ && introduction_->segments.size() < kMostHeld) {
    introduction_->segments.push_back(event);
  }
  if (!observer_ || !first_seq_) return;
  // Unwrapped around where the stream is: a segment lies within 2 GB of what was read last.
  const std::uint64_t here = observer_->client_offset();
  const auto low = static_cast<std::uint32_t>(event.seq - *first_seq_);
  const std::int64_t place = static_cast<std::int64_t>(here) +
                             static_cast<std::int32_t>(low - static_cast<std::uint32_t>(here));
  std::int64_t offset = place;
  std::uint32_t left = event.size;
  const std::uint32_t unit = event.gso_size != 0 ? event.gso_size : left;
  constexpr std::uint8_t kPsh = 0x08;
  observe([&] {
    while (left > 0) {
      const std::uint32_t size = left < unit ? left : unit;
      left -= size;
      offset += size;
      // What is in front of the stream is a balancer's header; only behind it is the client's.
      if (offset <= 0) continue;
      const std::int64_t own = std::min<std::int64_t>(offset, size);
      // Segments are joined up to one with PSH, so it belongs to the last.
      observer_->segment({.offset = static_cast<std::uint64_t>(offset - own),
                          .size = static_cast<std::uint32_t>(own),
                          .time_ns = event.time_ns,
                          .push = left == 0 && (event.flags & kPsh) != 0});
    }
  });
}

void Session::observe_read(std::size_t size) {
  const auto info = info_of(client_.get());
  const std::uint32_t seen = info ? info->tcpi_data_segs_in : segments_seen_ + 1;
  const std::uint32_t count = seen > segments_seen_ ? seen - segments_seen_ : 1;
  segments_seen_ = seen;
  observer_->segment(
      {.offset = observer_->client_offset(),
       .size = static_cast<std::uint32_t>(size),
       .count = count,
       .time_ns = static_cast<std::uint64_t>(
           std::chrono::duration_cast<std::chrono::nanoseconds>(worker_.now().time_since_epoch())
               .count())});
}

template <typename Look>
void Session::observe(Look look) {
  try {
    look();
  } catch (const std::exception&) {
    stop_observing(classifier::Reason::Error);
  }
}

void Session::stop_observing(classifier::Reason reason) {
  observer_.reset();
  share_.set(0);
  capture::KernelFilter::ignore(client_.get());
  try {
    lost(reason);
  } catch (const std::exception&) {
    // No memory for the reason either: the filter will say that there was no session.
  }
}

// In clear the dialogue is followed on, so that a drain knows where transactions end.
void Session::expire() {
  if (observer_->sealed()) return stop_observing(classifier::Reason::Expired);
  observe([&] { lost(classifier::Reason::Expired); });
  capture::KernelFilter::ignore(client_.get());
  first_seq_.reset();
  unjudged_ = true;
}

void Session::account() {
  share_.set(observer_->held());
  auto& shared = worker_.shared();
  if (share_.bytes() <= evidence::Budget::kLittle || !shared.table.budget().exceeded()) return;
  shared.counters.overload_memory.fetch_add(1, std::memory_order_relaxed);
  stop_observing(classifier::Reason::Overload);
}

void Session::message(classifier::Trace&& trace) {
  if (unjudged_) return;
  auto& counters = worker_.shared().counters;
  counters.messages.fetch_add(1, std::memory_order_relaxed);
  if (trace.state != classifier::State::Complete) {
    counters.partial.fetch_add(1, std::memory_order_relaxed);
  }
  worker_.shared().table.publish(address_, cookie_, std::move(trace));
}

void Session::answered(std::uint32_t ordinal) {
  worker_.shared().table.answered(address_, cookie_, ordinal);
}

std::shared_ptr<classifier::SealedStream> Session::seal(classifier::SealedLog::Start&& start,
                                                        classifier::ArrivalLog&& arrivals) {
  if (unjudged_) return nullptr;
  start.sha256 = capture::sha256;
  return worker_.shared().table.follow(address_, cookie_, std::move(start), std::move(arrivals));
}

void Session::lost(classifier::Reason reason) {
  if (unjudged_) return;  // the reason is known
  worker_.shared().counters.lost.fetch_add(1, std::memory_order_relaxed);
  worker_.shared().table.lost(address_, cookie_, reason);
}

}  // namespace proxy
