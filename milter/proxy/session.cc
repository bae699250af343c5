#include "milter/proxy/session.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "milter/log/log.h"
#include "milter/proxy/host.h"

namespace proxy {
namespace {

// RFC 5321, 3.8: 421 may be sent at any time. RFC 3463, 4.3.2: system not accepting network
// messages.
constexpr std::string_view kDraining = "421 4.3.2 Service is being restarted, try again later\r\n";
constexpr std::string_view kNoUpstream = "421 4.3.2 Service not available, try again later\r\n";

// How long a refused client may stay, and a client whose server has closed. Chosen, not measured:
// shorter times may cut a slow client before it has read the last line, longer ones hold a session.
constexpr std::chrono::seconds kRefusingTime{5};
constexpr std::chrono::seconds kClosingTime{30};

// A health check that only connects has closed by then, and Postfix need not see it. Chosen, not
// measured: a check that stays longer is relayed, and only Postfix's log shows it.
constexpr timeval kLocalPause{0, 50'000};
// Segments that come before a balancer's header has been read: those of the header, and those of a
// client that speaks before the greeting. Further ones are dropped, and a message may be partial.
constexpr std::size_t kMostHeld = 64;

// How many reads one event may do while the scratch buffer comes back full. A limit keeps one fast
// client from holding up the others of its worker. Chosen, not measured.
constexpr int kReadsInOneTurn = 4;

}  // namespace

template <void (Session::*handler)(short)>
void Session::on_event(evutil_socket_t, short what, void* session) {
  auto& self = *static_cast<Session*>(session);
  self.host_.dispatch(self, handler, what);
}

Session::Session(Host& host, net::Fd client, const net::Endpoint& address, Admission::Place place)
    : host_(host),
      place_(std::move(place)),
      client_(std::move(client)),
      address_(address),
      last_active_(host.now()),
      watch_(host, client_.get()) {
  if (place_.named()) return;
  expected_header_ = std::make_unique<ExpectedHeader>();
  expected_header_->since = host.now();
  enter(State::AwaitingHeader);
}

Session::~Session() {
  // The events are freed first: they must not outlive their descriptors.
  client_event_.reset();
  upstream_event_.reset();
}

void Session::start() {
  local_ = watch_.learn_syn();
  if (client_known()) connect_upstream(0);
  update_interest();
}

// All bytes belong to the header until it is complete, so they are taken from the socket at once:
// if they were left there, the socket would stay readable and this loop would spin. Bytes after the
// header are left: they belong to the stream, which the relay reads.
void Session::read_proxy_header() {
  auto& bytes = expected_header_->bytes;
  const std::size_t before = bytes.size();
  const auto room =
      host_.scratch().first(std::min(net::kMostProxyHeader - before, host_.scratch().size()));
  const ssize_t got = ::recv(client_.get(), room.data(), room.size(), MSG_PEEK);
  if (got < 0 && errno == EAGAIN) return;
  // No byte came: the balancer only checked whether the port is open. Or the header said LOCAL, and
  // the health check is done.
  if (got <= 0 && (before == 0 || expected_header_->pause)) return enter(State::Ended);
  if (got <= 0) return refuse_proxy_header("it left in the middle of its PROXY header");
  if (expected_header_->pause) return on_pause(EV_TIMEOUT);
  bytes.append(room.data(), static_cast<std::size_t>(got));
  const auto header = net::read_proxy_header(bytes);
  if (header.outcome == net::ProxyHeader::Outcome::Refused) {
    return refuse_proxy_header(header.reason);
  }
  const bool whole = header.outcome == net::ProxyHeader::Outcome::Complete;
  const std::size_t end = whole ? header.size : bytes.size();
  // These bytes were just peeked, so they are there.
  (void)!::recv(client_.get(), room.data(), end - before, 0);
  bytes.resize(end);
  if (!whole) return;
  if (!header.local) return take_client(header);
  expected_header_->pause.reset(
      event_new(host_.base(), -1, 0, &on_event<&Session::on_pause>, this));
  auto* pause = expected_header_->pause.get();
  if (pause == nullptr || event_add(pause, &kLocalPause) < 0) return take_client(header);
  read_proxy_header();  // the balancer may have closed already
}

void Session::on_pause(short) {
  if (state_ != State::AwaitingHeader) return;  // the connection was closed before the pause ended
  take_client({.outcome = net::ProxyHeader::Outcome::Complete,
               .size = expected_header_->bytes.size(),
               .local = true});
  update_interest();
}

void Session::take_client(const net::ProxyHeader& header) {
  if (!header.local) {
    address_ = header.client;
    local_ = header.server;
  }
  // The header's segments are in the ring by now. They count from where the header ends: one
  // segment may hold the header and the client's first bytes.
  host_.drain_ring();
  const auto answer = place_.name(address_, host_.config().proxy, host_.now());
  if (answer != Admission::Answer::Admitted) {
    const auto [line, counter] = refusal(answer, host_.shared().counters);
    counter.fetch_add(1, std::memory_order_relaxed);
    return refuse(line);
  }
  const auto segments = std::move(expected_header_->segments);
  expected_header_.reset();
  enter(State::Connecting);
  connect_upstream(header.size);
  for (const auto& event : segments) watch_.segment(event);
}

void Session::segment(const capture::SegmentEvent& event) {
  if (client_known()) return watch_.segment(event);
  if (expected_header_->segments.size() < kMostHeld) expected_header_->segments.push_back(event);
}

void Session::refuse_proxy_header(std::string_view reason) {
  auto& shared = host_.shared();
  const auto count =
      shared.counters.proxy_headers_refused.fetch_add(1, std::memory_order_relaxed) + 1;
  enter(State::Ended);
  // A balancer with a wrong configuration makes this error at every connection.
  if (shared.refused_header_word.more(count, host_.now()) == 0) return;
  logging::warning(
      fmt::format("proxy.balancers: {} is a balancer, but {}: connection closed, {} so far",
                  address_.print(), reason, count));
}

void Session::connect_upstream(std::size_t header) {
  Upstream upstream = open_upstream(host_, address_, local_);
  if (!upstream.socket) return give_up();
  upstream_ = std::move(upstream.socket);
  proxy_header_ = std::move(upstream.header);
  header == 0 ? watch_.begin(upstream.client, upstream.server)
              : watch_.begin_behind_balancer(upstream.client, upstream.server, header);
  // On loopback the connection is often complete already; trying at once saves one turn of the
  // loop.
  begin_relaying();
}

void Session::begin_relaying() {
  const ssize_t sent =
      ::send(upstream_.get(), proxy_header_.data(), proxy_header_.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN) return;
    return give_up();
  }
  // The buffer of a new connection takes these few bytes in one send. If it ever did not, the rest
  // must still be sent, because Postfix would take a cut header for a broken one.
  proxy_header_.erase(0, static_cast<std::size_t>(sent));
  if (proxy_header_.empty()) enter(State::Relaying);
}

void Session::on_client(short what) {
  last_active_ = host_.now();
  if (state_ == State::AwaitingHeader) {
    read_proxy_header();
    return update_interest();
  }
  if (state_ == State::Refusing) {
    const ssize_t got = ::recv(client_.get(), host_.scratch().data(), host_.scratch().size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) enter(State::Ended);
    return update_interest();
  }
  if (what & EV_WRITE) outbound_.flush(client_.get());
  if ((what & EV_READ) && inbound_.wants_read()) client_to_upstream();
  settle();
}

void Session::on_upstream(short what) {
  last_active_ = host_.now();
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
  for (int turn = 0; turn < kReadsInOneTurn && inbound_.wants_read(); ++turn) {
    std::span<const char> bytes;
    if (inbound_.read(client_.get(), host_.scratch(), bytes) != Relay::Read::Bytes) return;
    // The bytes are observed before they are sent: when Postfix has the end of a message, its
    // evidence must be in the table. The ring holds the segments of all clients; each goes to its
    // own session.
    if (watch_.wants_segments()) host_.drain_ring();
    watch_.client(bytes);
    server_spoke_last_ = false;
    inbound_.write(upstream_.get(), bytes);
    if (bytes.size() < host_.scratch().size()) return;
  }
}

void Session::upstream_to_client() {
  for (int turn = 0; turn < kReadsInOneTurn && outbound_.wants_read(); ++turn) {
    std::span<const char> bytes;
    if (outbound_.read(upstream_.get(), host_.scratch(), bytes) != Relay::Read::Bytes) return;
    watch_.server(bytes);
    server_spoke_last_ = true;
    outbound_.write(client_.get(), bytes);
    if (bytes.size() < host_.scratch().size()) return;
  }
}

void Session::settle() {
  // Both directions have ended: closing the sockets passes that on, and saves two calls of
  // shutdown.
  if (inbound_.empty_at_end() && outbound_.empty_at_end() && outbound_.used()) {
    enter(State::Ended);
    return update_interest();
  }
  if (inbound_.state() == Relay::State::Flushing) inbound_.flush(upstream_.get());
  if (outbound_.state() == Relay::State::Flushing) {
    // Postfix accepted the connection and closed it without a greeting: it is being stopped, so the
    // client is sent 421. A client that has spoken first does not wait for a greeting (TLS, or
    // plain text on a TLS port): it only sees the close, as Postfix did it.
    if (!outbound_.used() && !inbound_.used() && inbound_.state() == Relay::State::Open) {
      give_up();
      return update_interest();
    }
    outbound_.flush(client_.get());
  }
  if (inbound_.over() && outbound_.over()) enter(State::Ended);
  update_interest();
  if (host_.draining()) drain();
}

void Session::update_interest() {
  short client = 0;
  short upstream = 0;
  switch (state_) {
    case State::AwaitingHeader:
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
    ev.reset(event_new(host_.base(), fd, static_cast<short>(wants | EV_PERSIST), callback, this));
    registered = registered && ev && event_add(ev.get(), nullptr) == 0;
  };
  apply(client_event_, client_interest_, client, client_.get(), &on_event<&Session::on_client>);
  apply(upstream_event_, upstream_interest_, upstream, upstream_.get(),
        &on_event<&Session::on_upstream>);
  // There is no memory to register the events. The session would hang until its idle timeout.
  if (!registered && state_ != State::Ended) cut();
}

void Session::on_tick(steady_clock::time_point now) {
  watch_.on_tick();
  const auto idle = now - last_active_;
  const auto& limits = host_.config().proxy;
  switch (state_) {
    case State::AwaitingHeader:
      // Measured from the start of the connection: a header that drips byte by byte must not extend
      // it.
      if (!expected_header_->pause && now - expected_header_->since >= limits.balancer_timeout) {
        refuse_proxy_header("its PROXY header did not come in time");
      }
      break;
    case State::Connecting:
      if (idle >= limits.connect_timeout) {
        note_silence(host_);
        give_up();
      }
      break;
    case State::Relaying:
      if (outbound_.over() && idle >= kClosingTime) {
        enter(State::Ended);
      } else if (idle >= (clients_turn() ? limits.idle_timeout : limits.answer_timeout)) {
        end_silence();
      }
      break;
    case State::Refusing:
      // Measured from the 421: a client cannot stay by sending a byte now and then.
      if (now - entered_ >= kRefusingTime) enter(State::Ended);
      break;
    case State::Ended:
      break;
  }
  update_interest();
}

// A client whose session is cut while Postfix still works on its message sends the message again,
// and it is delivered twice. So silence counts towards idle_timeout only if it is certain that
// Postfix waits for the client. Otherwise it counts towards answer_timeout, which is longer than
// Postfix may take (RFC 5321, 4.5.3.2.6, allows 600 s after the final dot, and each milter may add
// 300 s).
//
// Knowing who spoke last is not enough. If the client spoke last, Postfix owes an answer, or waits
// for the rest of a command or message; in that case its own smtpd_timeout ends the session. If
// Postfix spoke last, it may (with PIPELINING and BDAT) have answered only the first of several
// commands and still work on the others. The dialogue shows it, if it can be read. Under TLS, and
// where nothing is observed, it cannot be known. There smtpd_timeout alone ends idle sessions,
// since it only counts while Postfix really waits for the client.
bool Session::clients_turn() const {
  // Postfix has closed its direction, or the client does not take what Postfix sent.
  if (outbound_.state() != Relay::State::Open || outbound_.wants_write()) return true;
  return server_spoke_last_ && watch_.all_answered();
}

// If the dialogue cannot be read and the client spoke last, its last bytes may be the end of a
// message. An answer that still waits in the backlog has not reached the client.
bool Session::answer_owed() const {
  if (outbound_.state() != Relay::State::Open) return outbound_.wants_write();
  return outbound_.wants_write() || watch_.owes_answer().value_or(!server_spoke_last_);
}

void Session::end_silence() {
  const bool owed = !clients_turn();
  enter(State::Ended);
  if (!owed) return;
  auto& shared = host_.shared();
  const auto count = shared.counters.unanswered.fetch_add(1, std::memory_order_relaxed) + 1;
  const auto more = shared.unanswered_word.more(count, host_.now());
  if (more == 0) return;
  logging::warning(fmt::format(
      "proxy.answer_timeout: {} sessions are closed in which Postfix has said nothing for {} s; a "
      "client that waited for its answer sends the message again",
      more, host_.config().proxy.answer_timeout.count()));
}

void Session::cut() {
  enter(State::Ended);
  update_interest();
}

void Session::drain() {
  if (state_ == State::Refusing || state_ == State::Ended) return;
  if (state_ != State::Relaying) {
    if (host_.closing()) cut();
    return;
  }
  const bool quiet = inbound_.wants_read() && outbound_.wants_read();
  if (quiet && watch_.between_transactions()) {
    host_.shared().counters.drained.fetch_add(1, std::memory_order_relaxed);
    refuse(kDraining);
  } else if (host_.closing() && !answer_owed()) {
    refuse("");
  }
  update_interest();
}

void Session::give_up() {
  host_.shared().counters.upstream_failed.fetch_add(1, std::memory_order_relaxed);
  refuse(kNoUpstream);
}

// Sends the last line to the client; nothing that Postfix sends follows it.
void Session::refuse(std::string_view line) {
  if (!line.empty()) ::send(client_.get(), line.data(), line.size(), MSG_NOSIGNAL);
  ::shutdown(client_.get(), SHUT_WR);
  upstream_event_.reset();
  upstream_interest_ = 0;
  upstream_.reset();
  enter(State::Refusing);
}

void Session::enter(State state) {
  state_ = state;
  entered_ = host_.now();
  if (state == State::Ended) watch_.close();
}

}  // namespace proxy
