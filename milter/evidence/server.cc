#include "milter/evidence/server.h"

#include <event2/buffer.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "classifier/trace_text.h"

namespace evidence {
namespace {

net::Fd listen_on(const config::Evidence& settings) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string attempt = "listen on evidence.socket " + settings.socket;
  if (settings.socket.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    net::check(-1, attempt);
  }
  std::memcpy(address.sun_path, settings.socket.c_str(), settings.socket.size() + 1);
  net::Fd listener(
      net::check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
  ::unlink(settings.socket.c_str());
  // The mode is set before anyone can connect: listen() comes last.
  net::check(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), attempt);
  net::check(chmod(settings.socket.c_str(), settings.socket_mode), attempt);
  net::check(listen(listener.get(), 512), attempt);
  return listener;
}

}  // namespace

std::string answer(const Table& table, std::string_view text) {
  const auto question = parse_question(text);
  if (!question) return "none " + std::string(name(classifier::Reason::Error));
  const auto found = table.find(*question);
  if (const auto* reason = std::get_if<classifier::Reason>(&found)) {
    return "none " + std::string(name(*reason));
  }
  return "trace " + print(std::get<classifier::Trace>(found));
}

Server::Server(event_base* base, const config::Evidence& settings, const Table& table,
               std::function<void()> look)
    : base_(base),
      table_(table),
      look_(std::move(look)),
      path_(settings.socket),
      listener_(listen_on(settings)) {
  readable_.reset(event_new(
      base_, listener_.get(), EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Server*>(self)->accept(); }, this));
  event_add(readable_.get(), nullptr);
}

Server::~Server() = default;  // The path stays: a restarted process puts its own socket there.

void Server::accept() {
  net::Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // No descriptor is free, and the listener stays readable: asked again at once, this thread
    // would do nothing else.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause();
    return;
  }
  if (connections_.size() >= kMaxConnections) return;
  try {
    connections_.emplace_back();
  } catch (const std::bad_alloc&) {
    return;  // closed: the filter takes it for an error
  }
  Connection& connection = connections_.back();
  connection.server = this;
  connection.self = std::prev(connections_.end());
  connection.stream.reset(bufferevent_socket_new(base_, fd.get(), BEV_OPT_CLOSE_ON_FREE));
  if (!connection.stream) {
    connections_.pop_back();
    return;
  }
  fd.release();
  bufferevent_setcb(connection.stream.get(), on_read, nullptr, on_event, &connection);
  bufferevent_setwatermark(connection.stream.get(), EV_READ, 0, Question::kMostText);
  const timeval patience{kPatience.count(), 0};
  bufferevent_set_timeouts(connection.stream.get(), &patience, &patience);
  bufferevent_enable(connection.stream.get(), EV_READ | EV_WRITE);
}

void Server::pause() {
  event_del(readable_.get());
  again_.reset(event_new(
      base_, -1, 0,
      [](evutil_socket_t, short, void* self) {
        event_add(static_cast<Server*>(self)->readable_.get(), nullptr);
      },
      this));
  constexpr timeval kPause{0, 100'000};
  event_add(again_.get(), &kPause);
}

void Server::on_read(bufferevent* stream, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  evbuffer* input = bufferevent_get_input(stream);
  std::size_t length = 0;
  struct Free {
    void operator()(char* text) const { ::free(text); }
  };
  const std::unique_ptr<char, Free> line(evbuffer_readln(input, &length, EVBUFFER_EOL_LF));
  if (!line) {
    if (evbuffer_get_length(input) >= Question::kMostText) connection.server->drop(connection);
    return;
  }
  std::string reply;
  try {
    if (connection.server->look_) connection.server->look_();
    reply = answer(connection.server->table_, {line.get(), length}) + "\n";
  } catch (const std::exception&) {
    // No memory for an answer. Out of here it would end the loop, and every session with it.
    return connection.server->drop(connection);
  }
  bufferevent_disable(stream, EV_READ);
  bufferevent_setcb(stream, nullptr, on_written, on_event, context);
  bufferevent_write(stream, reply.data(), reply.size());
}

void Server::on_written(bufferevent*, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  connection.server->drop(connection);
}

void Server::on_event(bufferevent*, short, void* context) {
  auto& connection = *static_cast<Connection*>(context);
  connection.server->drop(connection);
}

void Server::drop(Connection& connection) {
  connections_.erase(connection.self);
}

}  // namespace evidence
