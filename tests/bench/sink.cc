// The benchmark's server: accepts mail and drops it. It uses as little CPU as possible, so that the
// measurement shows the proxy before it. It has two ports: one speaks SMTP at once, the other first
// expects a PROXY header of version 2 (which smtp-sink does not support). One thread, epoll, no
// allocation per message.
//
//     sink PLAIN_PORT PROXY_PORT      ends with SIGTERM
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The fixed part of a PROXY header; its bytes 14 and 15 are the length of the rest.
constexpr std::size_t kProxyHeader = 16;
constexpr std::string_view kEndOfData = "\r\n.\r\n";

enum class State { Proxy, Command, Data };

struct Session {
  State state = State::Command;
  std::string line;         // an incomplete command line or PROXY header
  std::size_t matched = 0;  // bytes of kEndOfData that the data so far ends with
};

std::vector<Session> sessions;  // by descriptor

void say(int fd, std::string_view text) {
  if (::write(fd, text.data(), text.size()) < 0) std::perror("sink: write");
}

int listener(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd, 4096) != 0) {
    std::perror("sink: bind");
    std::exit(71);
  }
  return fd;
}

// Searches the end of the data in `text`; `matched` keeps the state between reads. Returns the
// offset after the final dot line, or npos.
std::size_t end_of_data(Session& session, std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (session.matched == 0) {
      const void* found = std::memchr(text.data() + at, '\r', text.size() - at);
      if (found == nullptr) return std::string_view::npos;
      at = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    if (text[at] == kEndOfData[session.matched]) {
      ++at;
      if (++session.matched == kEndOfData.size()) return at;
    } else {
      session.matched = 0;  // this byte may begin a new match, so it is not consumed
      if (text[at] != '\r') ++at;
    }
  }
  return std::string_view::npos;
}

// Answers one command. False: it was QUIT.
bool command(int fd, Session& session, std::string_view line) {
  if (line.starts_with("DATA")) {
    session.state = State::Data;
    session.matched = 2;  // a dot in the first line ends the data too
    say(fd, "354 go on\r\n");
  } else if (line.starts_with("QUIT")) {
    say(fd, "221 bye\r\n");
    return false;
  } else {
    say(fd, "250 ok\r\n");
  }
  return true;
}

// Removes one unit (PROXY header, line or data) from the front of `text`. False ends the session.
bool take(int fd, Session& session, std::string_view& text) {
  if (session.state == State::Data) {
    const auto end = end_of_data(session, text);
    text.remove_prefix(std::min(end, text.size()));
    if (end != std::string_view::npos) {
      session.state = State::Command;
      say(fd, "250 forgotten\r\n");
    }
    return true;
  }
  if (session.state == State::Proxy) {
    session.line.append(text);
    text = {};
    if (session.line.size() < kProxyHeader) return true;
    const auto rest = static_cast<unsigned char>(session.line[14]) * 256U +
                      static_cast<unsigned char>(session.line[15]);
    if (session.line.size() < kProxyHeader + rest) return true;
    session.line.clear();  // nothing follows: the client waits for the greeting
    session.state = State::Command;
    say(fd, "220 sink\r\n");
    return true;
  }
  const auto end = text.find('\n');
  session.line.append(text.substr(0, end));
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (end == std::string_view::npos) return true;
  const bool more = command(fd, session, session.line);
  session.line.clear();
  return more;
}

void accept_one(int epoll, int listening, State state) {
  const int fd = ::accept(listening, nullptr, nullptr);
  if (fd < 0) return;
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (static_cast<std::size_t>(fd) >= sessions.size())
    sessions.resize(static_cast<std::size_t>(fd) * 2 + 64);
  sessions[static_cast<std::size_t>(fd)] = Session{state, {}, 0};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  if (state == State::Command) say(fd, "220 sink\r\n");
}

bool serve(int fd) {
  static char buffer[256 * 1024];
  const auto got = ::read(fd, buffer, sizeof buffer);
  if (got <= 0) return false;
  std::string_view text(buffer, static_cast<std::size_t>(got));
  while (!text.empty()) {
    if (!take(fd, sessions[static_cast<std::size_t>(fd)], text)) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: sink PLAIN_PORT PROXY_PORT\n", stderr);
    return 64;
  }
  const int plain = listener(static_cast<std::uint16_t>(std::atoi(argv[1])));
  const int proxied = listener(static_cast<std::uint16_t>(std::atoi(argv[2])));
  const int epoll = ::epoll_create1(0);
  for (const int fd : {plain, proxied}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  epoll_event events[256];
  while (true) {
    const int count = ::epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == plain || fd == proxied) {
        accept_one(epoll, fd, fd == plain ? State::Command : State::Proxy);
      } else if (!serve(fd)) {
        ::close(fd);
      }
    }
  }
}
