#include "milter/doctor/dialogue.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstring>

#include "milter/net/connect_as.h"

namespace doctor {
namespace {

using Clock = std::chrono::steady_clock;

bool wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{fd, events, 0};
    const int ready = poll(&entry, 1, static_cast<int>(left > 0 ? left : 0));
    if (ready > 0) return true;
    if (left <= 0 || (ready < 0 && errno != EINTR)) return false;
  }
}

// Changes the effective user while it lives: sockets that are made meanwhile belong to that user.
// Requires: the process has one thread.
class AsUser {
 public:
  explicit AsUser(unsigned user) : changed_(user != 0 && geteuid() == 0 && seteuid(user) == 0) {}
  ~AsUser() {
    if (changed_ && seteuid(0) < 0) _exit(71);  // EX_OSERR; cannot happen, the real user is root
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;

 private:
  bool changed_;
};

net::Endpoint local_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) < 0) return {};
  return net::Endpoint::from(reinterpret_cast<sockaddr*>(&storage)).value_or(net::Endpoint{});
}

// Returns 0 or an errno. The address may be in use by the proxy's connection to Postfix as well.
int begin_to_connect(int fd, const net::Endpoint& server,
                     const std::optional<net::Endpoint>& from) {
  sockaddr_storage storage;
  if (from) {
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const socklen_t size = from->fill(storage);
    if (bind(fd, reinterpret_cast<sockaddr*>(&storage), size) < 0) return errno;
  }
  const socklen_t size = server.fill(storage);
  const bool begun = connect(fd, reinterpret_cast<sockaddr*>(&storage), size) == 0;
  return begun || errno == EINPROGRESS ? 0 : errno;
}

// 0, or errno.
int wait_to_connect(int fd, Clock::time_point deadline) {
  if (!wait_for(fd, POLLOUT, deadline)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

std::string Reply::print() const {
  switch (end) {
    case End::Reply:
      return fmt::format("{} {}", code, text);
    case End::Closed:
      return "the connection was closed" + (text.empty() ? "" : " after: " + text);
    case End::TimedOut:
      return fmt::format("no reply within {} s", Dialogue::kPatience.count());
    case End::Malformed:
      return "this is not an SMTP reply: " + text;
  }
  return {};
}

std::optional<Reply> take_reply(std::string& input) {
  Reply reply;
  std::size_t at = 0;
  for (;;) {
    const auto end = input.find('\n', at);
    if (end == input.npos) {
      if (input.size() < kMaxReply) return std::nullopt;
      return Reply{Reply::End::Malformed, 0, "a reply without an end"};
    }
    std::string_view line(input.data() + at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool good = line.size() >= 3 && is_digit(line[0]) && is_digit(line[1]) &&
                      is_digit(line[2]) && (line.size() == 3 || line[3] == ' ' || line[3] == '-');
    if (!good) {
      reply = {Reply::End::Malformed, 0, std::string(line.substr(0, 80))};
      input.erase(0, end + 1);
      return reply;
    }
    reply.code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (!reply.text.empty()) reply.text += ' ';
    if (line.size() > 4) reply.text += line.substr(4);
    at = end + 1;
    if (line.size() == 3 || line[3] == ' ') break;
  }
  input.erase(0, at);
  return reply;
}

Dialogue::Dialogue(const net::Endpoint& server, unsigned as_user,
                   const std::optional<net::Endpoint>& from)
    : server_(server) {
  const AsUser as(as_user);
  net::Fd fd(
      socket(server.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int begun = fd ? begin_to_connect(fd.get(), server, from) : errno;
  take(std::move(fd), begun);
}

Dialogue Dialogue::as_client(const net::Endpoint& client, const net::Endpoint& server) {
  const auto source = net::open_transparent_source(server.is_v4(), "open a transparent socket");
  const int fd = source.get();
  net::TransparentSockets sockets({&fd, 1});
  auto begun = net::connect_as(sockets, client, server);
  Dialogue dialogue;
  dialogue.server_ = server;
  const int failed = begun.error != 0 ? begun.error : EADDRNOTAVAIL;
  const bool there = static_cast<bool>(begun.socket);
  dialogue.take(std::move(begun.socket), there ? 0 : failed);
  return dialogue;
}

void Dialogue::take(net::Fd socket, int begun) {
  const int failed = begun != 0 ? begun : wait_to_connect(socket.get(), Clock::now() + kPatience);
  if (failed != 0) {
    error_ = fmt::format("connect to {}: {}", server_.print(), std::strerror(failed));
    return;
  }
  local_ = local_of(socket.get());
  socket_ = std::move(socket);
}

// Errors are not reported here. The doctor sends few bytes, which fit into the socket's buffer; if
// they cannot be sent, no reply comes, and reply() reports that.
void Dialogue::send(std::string_view bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty() && socket_) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN || !wait_for(socket_.get(), POLLOUT, deadline)) {
      return;
    }
  }
}

Reply Dialogue::reply() {
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    if (const auto reply = take_reply(input_)) return *reply;
    if (!socket_) return {Reply::End::Closed, 0, {}};
    if (!wait_for(socket_.get(), POLLIN, deadline)) return {Reply::End::TimedOut, 0, input_};
    char buffer[4096];
    const ssize_t got = recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return {Reply::End::Closed, 0, input_};
    input_.append(buffer, static_cast<std::size_t>(got));
    // A server that sends single bytes must not extend the deadline.
    if (Clock::now() >= deadline) return {Reply::End::TimedOut, 0, input_};
  }
}

Reply Dialogue::command(std::string_view line) {
  send(std::string(line) + "\r\n");
  return reply();
}

void Dialogue::quit() {
  if (socket_) (void)command("QUIT");
  socket_.reset();
}

}  // namespace doctor
