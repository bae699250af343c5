#include "milter/policy_service/server.h"

#include <event2/buffer.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <csignal>
#include <stdexcept>
#include <utility>

#include "milter/net/server_socket.h"

namespace policy_service {
namespace {

constexpr std::string_view kDunno = "DUNNO";

// Chosen, not measured: a descriptor is soon free again, and Postfix waits for longer.
constexpr timeval kPause{0, 100'000};

net::Fd copy_of(const net::Fd& fd) {
  return net::Fd(net::check(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0), "copy a descriptor"));
}

net::Fd listen_inet(const config::MilterSocket& socket) {
  const auto attempt = fmt::format("policy_service.socket: listen on {}", socket.print());
  const auto address = socket.address();
  if (!address) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            attempt + ": the host has to be an address");
  }
  net::Fd fd = net::server_socket(*address, attempt);
  net::bind(fd, *address, attempt);
  net::check(listen(fd.get(), kBacklog), attempt);
  // Accepted sockets inherit it: an answer is one small write.
  const int on = 1;
  (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Signals are for the main thread, or for libmilter's.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

net::Fd listen_at(const config::MilterSocket& socket, unsigned mode) {
  if (!socket.is_unix()) return listen_inet(socket);
  return net::listen_unix(socket.path, mode, kBacklog,
                          "listen on policy_service.socket " + socket.path);
}

Server::Server(net::Fd listener, const config::MilterSocket& socket, Settings settings,
               Answer answer, Counters& counters)
    : settings_(std::move(settings)),
      answer_(std::move(answer)),
      counters_(counters),
      path_text_(socket.path),
      path_(socket.is_unix() ? net::BoundPath(socket.path) : net::BoundPath()),
      listener_(copy_of(listener)),
      wake_(net::check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      base_(net::make_loop()),
      orders_(net::make_event(
          base_.get(), wake_.get(), EV_READ | EV_PERSIST,
          [](evutil_socket_t, short, void* self) { static_cast<Server*>(self)->take_orders(); },
          this)) {
  counters_.connections = 0;
  listen_with(std::move(listener));
  const NoSignals quiet;
  thread_ = std::thread([this] { run(); });
}

Server::~Server() {
  order({}, true);
  thread_.join();
}

void Server::run() {
  (void)event_base_dispatch(base_.get());
}

// --- the main thread's side ----------------------------------------------------------------------

void Server::order(net::Fd listener, bool stop) {
  {
    const std::lock_guard lock(mutex_);
    if (listener) next_listener_ = std::move(listener);
    stop_ = stop_ || stop;
  }
  (void)eventfd_write(wake_.get(), 1);
}

void Server::serve_at(net::Fd listener) {
  listener_ = copy_of(listener);
  path_ = net::BoundPath(path_text_);
  order(std::move(listener), false);
}

// The socket is shut down here, so that the port is free when this returns; its descriptors are
// closed later. (Both this socket and the next one have SO_REUSEADDR.)
void Server::hide() {
  hidden_ = true;
  path_.remove();
  (void)shutdown(listener_.get(), SHUT_RDWR);
}

// --- the server's thread -------------------------------------------------------------------------

void Server::take_orders() {
  eventfd_t count = 0;
  (void)eventfd_read(wake_.get(), &count);
  net::Fd listener;
  bool stop = false;
  {
    const std::lock_guard lock(mutex_);
    listener = std::move(next_listener_);
    stop = stop_;
  }
  if (listener) listen_with(std::move(listener));
  if (stop) (void)event_base_loopbreak(base_.get());
}

void Server::listen_with(net::Fd listener) {
  acceptor_ = std::make_unique<net::Acceptor>(base_.get(), std::move(listener), kPause,
                                              [this](net::Fd fd) { accept(std::move(fd)); });
}

void Server::accept(net::Fd fd) try {
  const auto settings = settings_();
  if (connections_.size() >= settings->policy_service.max_connections) {
    ++counters_.refused;
    return;
  }
  net::BufferEvent stream(bufferevent_socket_new(base_.get(), fd.get(), BEV_OPT_CLOSE_ON_FREE));
  if (!stream) return;
  fd.release();
  Connection& connection = connections_.emplace_back();
  connection.server = this;
  connection.self = std::prev(connections_.end());
  connection.stream = std::move(stream);
  counters_.connections = connections_.size();
  bufferevent* const raw = connection.stream.get();
  bufferevent_setcb(raw, on_read, on_written, on_event, &connection);
  // A client that sends more than one request at once is read in parts.
  bufferevent_setwatermark(raw, EV_READ, 0, kMostRequest);
  const timeval idle{settings->policy_service.idle_timeout.count(), 0};
  bufferevent_set_timeouts(raw, &idle, &idle);
  bufferevent_enable(raw, EV_READ | EV_WRITE);
} catch (const std::bad_alloc&) {
  // There is no memory for another connection; Postfix goes on with its default_action.
}

// False: there is no memory for an answer.
bool Server::answer(Connection& connection, const Request& request) {
  try {
    std::string text;
    try {
      text = answer_(request);
    } catch (const std::exception&) {
      ++counters_.failures;
      text = kDunno;
    }
    text = "action=" + text + "\n\n";
    return bufferevent_write(connection.stream.get(), text.data(), text.size()) == 0;
  } catch (const std::exception&) {
    return false;
  }
}

// One request is answered at a time. The next one is read when the answer has been written, so what
// waits to be written is bounded.
void Server::on_read(bufferevent* stream, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  Server& server = *connection.server;
  evbuffer* input = bufferevent_get_input(stream);
  const std::size_t length = std::min(evbuffer_get_length(input), kMostRequest);
  const auto* bytes =
      length == 0
          ? nullptr
          : reinterpret_cast<const char*>(evbuffer_pullup(input, static_cast<ev_ssize_t>(length)));
  if (bytes == nullptr) {
    if (length != 0) server.drop(connection);
    return;
  }
  Parsed parsed;
  try {
    parsed = parse_request({bytes, length});
  } catch (const std::exception&) {
    return server.drop(connection);
  }
  switch (parsed.outcome) {
    case Parsed::Outcome::More:
      return;
    case Parsed::Outcome::Malformed:
      ++server.counters_.malformed;
      return server.drop(connection);
    case Parsed::Outcome::Complete:
      evbuffer_drain(input, parsed.size);
      bufferevent_disable(stream, EV_READ);
      if (!server.answer(connection, parsed.request)) server.drop(connection);
  }
}

void Server::on_written(bufferevent* stream, void* context) {
  bufferevent_enable(stream, EV_READ);
  // What came with the last request is in the buffer already.
  if (evbuffer_get_length(bufferevent_get_input(stream)) != 0) on_read(stream, context);
}

void Server::on_event(bufferevent*, short, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  connection.server->drop(connection);
}

void Server::drop(Connection& connection) {
  connections_.erase(connection.self);
  counters_.connections = connections_.size();
}

}  // namespace policy_service
