#include "milter/proxy/watch.h"

// linux/tcp.h and not netinet/tcp.h: glibc's tcp_info ends before the fields that are read here.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "classifier/dialogue_words.h"
#include "milter/proxy/host.h"
#include "milter/seal/sha256.h"
#include "milter/tcp/path.h"
#include "milter/tcp/segments.h"
#include "milter/tcp/stream_place.h"
#include "milter/tcp/syn.h"

namespace proxy {
namespace {

using classifier::Reason;
using classifier::Via;

// A segment further away from the stream's current place is ignored. The limit is above the largest
// receive window that Linux has by default (tcp_rmem, 6 MB).
constexpr std::int64_t kFarSegment = 16 << 20;
// The same while the client has not spoken: no window is larger than this before it is scaled.
constexpr std::int64_t kFarFirstSegment = 1 << 16;
// How far an acknowledgement may be from that of the client's last segment, in bytes of the
// server's replies. Chosen, not measured: replies are far smaller, and a guess by a stranger hits
// this range once in 2048 times.
constexpr std::int32_t kFarAck = 1 << 20;

std::uint64_t nanoseconds_of(steady_clock::time_point time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

std::optional<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  return info;
}

}  // namespace

std::uint64_t Watch::cookie_of(int socket) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size);
  return cookie;
}

Watch::Watch(Host& host, int client)
    : host_(host),
      client_(client),
      cookie_(cookie_of(client)),
      began_(host.now()),
      losses_(host.losses()),
      share_(host.shared().table.budget()) {}

net::Endpoint Watch::learn_syn() {
  // The saved headers of a SYN: IP with options or extension headers, and at most 60 bytes of TCP.
  std::array<std::uint8_t, 512> packet;
  socklen_t size = packet.size();
  if (getsockopt(client_, IPPROTO_TCP, TCP_SAVED_SYN, packet.data(), &size) == 0 && size > 0) {
    if (auto syn = tcp::parse_syn({packet.data(), size})) {
      first_seq_ = syn->isn + 1;
      path_.mss = syn->mss;
      path_.timestamps = syn->timestamps;
      path_.syn = std::move(syn->signature);
      if (syn->destination.port() != 0) return syn->destination;
    }
  }
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(client_, address, &length) < 0) return {};
  return net::Endpoint::from(address).value_or(net::Endpoint{});
}

// Called when the client has answered the greeting, because the round trip has been measured by
// then.
void Watch::learn_path() {
  path_known_ = true;
  const auto info = info_of(client_);
  if (info) {
    path_.timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
    path_.rtt_us = info->tcpi_min_rtt == ~0U ? info->tcpi_rtt : info->tcpi_min_rtt;
  }
  // advmss is what this machine announced to the client. Linux has already subtracted the
  // timestamps from it.
  const std::uint32_t told = info ? info->tcpi_advmss : 0;
  path_.mss = tcp::smaller_mss(tcp::full_payload(path_.mss, path_.timestamps), told);
  observer_->set_path(path_);
}

void Watch::begin(const net::Endpoint& client, const net::Endpoint& server) {
  open(client, server);
  judge(Via::Kernel);
}

void Watch::begin_behind_balancer(const net::Endpoint& client, const net::Endpoint& server,
                                  std::size_t header) {
  open(client, server);
  if (first_seq_) *first_seq_ += static_cast<std::uint32_t>(header);
  segments_seen_ = 1;  // the segment of the header
  behind_header_ = true;
  host_.config().proxy.balancer_transparent ? judge(Via::Balancer) : follow_only();
}

void Watch::open(const net::Endpoint& client, const net::Endpoint& server) {
  session_ = {client, server, cookie_, began_};
  open_ = host_.shared().table.open(session_);
}

// `via`: used if the kernel filter shows the segments.
void Watch::judge(Via via) {
  const auto& capture = host_.config().capture;
  // Without an entry in the table the reason is not stored either.
  if (!open_) return stop(Reason::Overload);
  if (capture.method == config::Capture::Method::Off) return stop(Reason::NoCapture);
  if (host_.too_busy_to_observe(client_)) return stop(Reason::Overload);
  // Without the sequence number of the SYN, the place of a segment in the stream is unknown.
  const bool kernel = host_.kernel_capture() && first_seq_;
  observe([&] {
    observer_.emplace(static_cast<classifier::Observer::Sink&>(*this), kernel ? via : Via::Read,
                      classifier::Observer::Limits{.segments = capture.max_segments});
  });
  if (!kernel) first_seq_.reset();
}

// The segments are the balancer's own and show nothing about the client. The dialogue is still
// followed, so that a drain knows where transactions end.
void Watch::follow_only() {
  stop(Reason::Balancer);
  judged_ = false;
  first_seq_.reset();
  observe([&] {
    observer_.emplace(static_cast<classifier::Observer::Sink&>(*this), Via::Balancer,
                      classifier::Observer::Limits{});
  });
}

void Watch::client(std::span<const char> bytes) {
  if (observer_ && too_old()) expire();
  if (!observer_) return;
  observe([&] {
    if (!path_known_ && judged_) learn_path();
    if (first_seq_) {
      notice_losses();
      if (observer_->client_offset() == 0) add_first_segment(bytes.size());
    } else if (judged_) {
      observe_read(bytes.size());
    }
    observer_->client(bytes);
    tell_table();
    account();
  });
}

void Watch::server(std::span<const char> bytes) {
  if (!observer_) return;
  observe([&] {
    observer_->server(bytes);
    tell_table();
    if (greeted_ || !observer_->greeted()) return;
    greeted_ = true;
    // The time is read here, because the turn of the loop may have begun before the greeting came.
    host_.shared().table.greeted(session_, host_.clock());
  });
}

void Watch::tell_table() {
  if (!judged_) return;
  auto& table = host_.shared().table;
  if (observer_->behind() != behind_) {
    behind_ = !behind_;
    table.behind(session_, behind_);
  }
  const std::uint32_t words = classifier::words_of(observer_->dialogue());
  if (words != words_) table.talks(session_, words_ = words);
}

void Watch::close() {
  share_.set(0);  // the table accounts for what is left
  if (open_) host_.shared().table.close(session_, host_.now());
}

bool Watch::credible(const capture::SegmentEvent& event, std::int64_t place) {
  const auto here = static_cast<std::int64_t>(observer_->client_offset());
  const std::int64_t end = place + event.size;
  const std::int64_t far = acked_ ? kFarSegment : kFarFirstSegment;
  if (place > here + far || end < here - far) return false;
  if (acked_) {
    const auto away = static_cast<std::int32_t>(event.ack - *acked_);
    if (away > kFarAck || away < -kFarAck) return false;
  }
  next_ = std::max(next_, observer_->client_offset());
  const auto next = static_cast<std::int64_t>(next_);
  if (place > next || end <= next) return true;
  next_ = static_cast<std::uint64_t>(end);
  acked_ = event.ack;
  return true;
}

void Watch::segment(const capture::SegmentEvent& event) {
  if (!observer_ || !first_seq_) return;
  const std::int64_t place = tcp::stream_place(event.seq, *first_seq_, observer_->client_offset());
  if (!credible(event, place)) return;
  // Urgent data has a place in the sequence numbers but not in what recv returns, here and in
  // Postfix. From here on the two do not match. No mail program sends urgent data.
  if ((event.flags & capture::SegmentEvent::kUrg) != 0) return stop(Reason::Lost);
  if (place >= 0) first_event_ = std::min(first_event_, static_cast<std::uint64_t>(place));
  observe([&] {
    // Bytes before the stream belong to a balancer's header; only what follows it is the client's.
    tcp::for_each_segment({.place = place,
                           .size = event.size,
                           .unit = event.gso_size,
                           .time_ns = event.time_ns,
                           .push = (event.flags & capture::SegmentEvent::kPsh) != 0},
                          [&](const classifier::Arrival& one) { observer_->segment(one); });
  });
}

// Events were dropped while a message was being received. One of them may have been a real segment
// of the message, and a forged packet may have taken its place.
void Watch::notice_losses() {
  if (std::exchange(losses_, host_.losses()) == host_.losses()) return;
  if (observer_->under_tls() || !observer_->idle()) observer_->missed_some();
}

// Packets that reach the listener make no events (capture/segments.bpf.c). So if bytes at the start
// of the stream came without an event, they came in one segment: with the SYN, or with the last ACK
// of the handshake.
void Watch::add_first_segment(std::size_t read) {
  const std::uint64_t size = std::min<std::uint64_t>(first_event_, read);
  const bool one_segment = path_.mss == 0 || size <= path_.mss;
  const bool known = host_.kernel_capture() && !behind_header_;
  if (size == 0 || !one_segment || !known) return;
  observer_->segment({.offset = 0,
                      .size = static_cast<std::uint32_t>(size),
                      .time_ns = nanoseconds_of(began_),
                      .opening = true});
}

void Watch::observe_read(std::size_t size) {
  const auto info = info_of(client_);
  const std::uint32_t seen = info ? info->tcpi_data_segs_in : segments_seen_ + 1;
  const std::uint32_t count = seen > segments_seen_ ? seen - segments_seen_ : 1;
  segments_seen_ = seen;
  observer_->segment({.offset = observer_->client_offset(),
                      .size = static_cast<std::uint32_t>(size),
                      .count = count,
                      .time_ns = nanoseconds_of(host_.now())});
}

template <typename Look>
void Watch::observe(Look look) {
  try {
    look();
  } catch (const std::exception&) {
    stop(Reason::Error);
  }
}

void Watch::stop(classifier::Reason reason) {
  observer_.reset();
  share_.set(0);
  capture::KernelFilter::ignore(client_);
  try {
    lost(reason);
  } catch (const std::exception&) {
    // There is no memory for the reason either. The filter will report that there was no session.
  }
}

// A message that has begun is finished first. Under TLS it is not known whether one has begun.
bool Watch::too_old() const {
  const bool old = host_.now() - began_ >= host_.config().capture.max_session_time;
  return old && judged_ && (observer_->under_tls() || observer_->between_transactions());
}

// In clear the dialogue is still followed, so that a drain knows where transactions end.
void Watch::expire() {
  if (observer_->under_tls()) return stop(Reason::Expired);
  observe([&] { lost(Reason::Expired); });
  capture::KernelFilter::ignore(client_);
  first_seq_.reset();
  judged_ = false;
}

void Watch::on_tick() {
  if (observer_ && judged_) account();
}

void Watch::account() {
  share_.set(observer_->memory_used());
  auto& shared = host_.shared();
  if (!shared.table.budget().has_to_go(share_)) return;
  shared.counters.overload_memory.fetch_add(1, std::memory_order_relaxed);
  stop(Reason::Overload);
}

void Watch::message(classifier::ObservedMessage&& message) {
  if (!judged_) return;
  auto& counters = host_.shared().counters;
  counters.messages.fetch_add(1, std::memory_order_relaxed);
  if (message.trace.state != classifier::State::Complete) {
    counters.partial.fetch_add(1, std::memory_order_relaxed);
  }
  host_.shared().table.publish(session_, std::move(message));
}

void Watch::answered(std::uint32_t ordinal) {
  host_.shared().table.answered(session_, ordinal);
}

std::shared_ptr<classifier::TlsStream> Watch::follow_tls(classifier::TlsLog::Start&& start,
                                                         classifier::ArrivalLog&& arrivals) {
  if (!judged_) return nullptr;
  start.sha256 = seal::sha256;
  return host_.shared().table.follow(session_, std::move(start), std::move(arrivals));
}

void Watch::lost(classifier::Reason reason) {
  if (!judged_) return;  // the table has the reason already
  host_.shared().counters.lost.fetch_add(1, std::memory_order_relaxed);
  host_.shared().table.lost(session_, reason);
}

}  // namespace proxy
