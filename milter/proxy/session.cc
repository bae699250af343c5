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

// Reads in one turn while the scratch buffer comes back full, so that one fast client does not
// hold up the others of its worker.
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
  // Events first: they must not outlive their descriptors.
  client_event_.reset();
  upstream_event_.reset();
}

void Session::start() {
  local_ = watch_.learn_syn();
  if (client_known()) connect_upstream(0);
  update_interest();
}

// All that has come belongs to the header until the header is whole, so it is taken from the socket
// at once: left there, it would keep the socket readable and this loop busy. Behind the header
// nothing is taken: a byte of the stream that follows is the relay's.
void Session::read_proxy_header() {
  auto& bytes = expected_header_->bytes;
  const std::size_t before = bytes.size();
  const auto room =
      host_.scratch().first(std::min(net::kMostProxyHeader - before, host_.scratch().size()));
  const ssize_t got = ::recv(client_.get(), room.data(), room.size(), MSG_PEEK);
  if (got < 0 && errno == EAGAIN) return;
  // A check whether the port is open, if not a byte came; or one that said LOCAL and has seen
  // enough.
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
  // Peeked a moment ago, so it is there.
  (void)!::recv(client_.get(), room.data(), end - before, 0);
  bytes.resize(end);
  if (!whole) return;
  if (!header.local) return take_client(header);
  expected_header_->pause.reset(
      event_new(host_.base(), -1, 0, &on_event<&Session::on_pause>, this));
  auto* pause = expected_header_->pause.get();
  if (pause == nullptr || event_add(pause, &kLocalPause) < 0) return take_client(header);
  read_proxy_header();  // it may have gone already
}

void Session::on_pause(short) {
  if (state_ != State::AwaitingHeader) return;  // over before the pause was
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
  // The segments that the header came in are in the ring by now. They belong to the stream from
  // where it ends: one may hold the client's first bytes as well.
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
  // A balancer that is set up wrongly errs with every connection.
  if (shared.refused_header_word.more(count, host_.now()) == 0) return;
  logging::warning(fmt::format("proxy.balancers: {} is one of them, but {}: closed, {} so far",
                               address_.print(), reason, count));
}

void Session::connect_upstream(std::size_t header) {
  Upstream upstream = open_upstream(host_, address_, local_);
  if (!upstream.socket) return give_up();
  upstream_ = std::move(upstream.socket);
  proxy_header_ = std::move(upstream.header);
  header == 0 ? watch_.begin(upstream.client, upstream.server)
              : watch_.begin_behind_balancer(upstream.client, upstream.server, header);
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
    // Observed before it is sent: when Postfix has a message's end, its evidence is in the table.
    // This client's segments come with those of all others: each goes to its own session.
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
  // No memory to wait with. Left alone, it would hang until it counts as idle.
  if (!registered && state_ != State::Ended) cut();
}

void Session::on_tick(steady_clock::time_point now) {
  watch_.on_tick();
  const auto idle = now - last_active_;
  const auto& limits = host_.config().proxy;
  switch (state_) {
    case State::AwaitingHeader:
      // Since it came: a header that drips is one that does not come.
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
      // Since the 421: a client that sends a byte now and then does not stay.
      if (now - entered_ >= kRefusingTime) enter(State::Ended);
      break;
    case State::Ended:
      break;
  }
  update_interest();
}

// A session that is cut while Postfix still works on a message makes the client send that message
// again: it is delivered twice. So silence counts by idle_timeout only where it is certain that
// Postfix waits for the client, and everywhere else by answer_timeout, which is longer than Postfix
// may take (RFC 5321, 4.5.3.2.6, gives it 600 s behind the final dot, and each milter may add 300).
//
// Who spoke last does not make it certain. The client spoke last: Postfix owes an answer, or waits
// for the rest of a command or message, and then its own smtpd_timeout ends the session. Postfix
// spoke last: with PIPELINING and BDAT it may have answered only the first of several commands, and
// be busy with the others. The dialogue tells, where it can be read. Under TLS, and where nothing
// is observed, nobody can tell, and smtpd_timeout alone ends idle sessions: it counts only while
// Postfix really waits for the client.
bool Session::clients_turn() const {
  // Postfix has said its last word, or the client does not take what was said.
  if (outbound_.state() != Relay::State::Open || outbound_.wants_write()) return true;
  return server_spoke_last_ && watch_.all_answered();
}

// Where the dialogue cannot be read, the client that spoke last may have sent a message's end. An
// answer that waits for the client to take it is not the client's yet.
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

// Our own word to the client, and no other behind it.
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
