// One message is one packet: SOCK_SEQPACKET keeps their bounds, so nothing is framed here. The two
// sides are processes of one program; what neither of them would say is skipped.
#include "milter/supervisor/control.h"

#include <sys/socket.h>

#include <array>
#include <string_view>

namespace supervisor {
namespace {

constexpr std::string_view kDrain = "drain";
constexpr std::string_view kReload = "reload\n";
constexpr std::string_view kReady = "ready";
constexpr std::string_view kPing = "ping";
constexpr std::string_view kHandover = "handover";
constexpr std::string_view kPong = "pong";
constexpr std::string_view kHandedOver = "handed over";

std::string packet(const ControlMessage& message) {
  switch (message.kind) {
    case ControlMessage::Kind::Drain:
      return std::string(kDrain);
    case ControlMessage::Kind::Reload:
      return std::string(kReload) + message.text;
    case ControlMessage::Kind::Ready:
      return std::string(kReady);
    case ControlMessage::Kind::Ping:
      return std::string(kPing);
    case ControlMessage::Kind::Handover:
      return std::string(kHandover);
    case ControlMessage::Kind::Pong:
      return std::string(kPong);
    case ControlMessage::Kind::HandedOver:
      return std::string(kHandedOver);
    case ControlMessage::Kind::Gone:
      return {};  // never sent: closing says it
  }
  return {};
}

std::optional<ControlMessage> parse(std::string_view text) {
  if (text == kDrain) return ControlMessage{ControlMessage::Kind::Drain, {}};
  if (text == kReady) return ControlMessage{ControlMessage::Kind::Ready, {}};
  if (text == kPing) return ControlMessage{ControlMessage::Kind::Ping, {}};
  if (text == kHandover) return ControlMessage{ControlMessage::Kind::Handover, {}};
  if (text == kPong) return ControlMessage{ControlMessage::Kind::Pong, {}};
  if (text == kHandedOver) return ControlMessage{ControlMessage::Kind::HandedOver, {}};
  if (text.starts_with(kReload)) {
    return ControlMessage{ControlMessage::Kind::Reload, std::string(text.substr(kReload.size()))};
  }
  return std::nullopt;
}

// A packet must fit into the send buffer whole. The kernel doubles the value for its own overhead
// and caps it at net.core.wmem_max, whose default is enough for kMaxControlMessage.
void widen(int fd) {
  const int bytes = 2 * static_cast<int>(kMaxControlMessage);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

}  // namespace

std::pair<net::Fd, net::Fd> control_pair() {
  int ends[2];
  net::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  widen(ends[0]);
  widen(ends[1]);
  return {net::Fd(ends[0]), net::Fd(ends[1])};
}

bool send_control(int fd, const ControlMessage& message) {
  const std::string text = packet(message);
  if (text.empty() || text.size() > kMaxControlMessage) return false;
  ssize_t sent;
  do {
    sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(text.size());
}

std::optional<ControlMessage> receive_control(int fd) {
  // Not on the heap: a process that is short of memory is still to hear that it is wanted. One
  // thread of a process reads control lines.
  static std::array<char, kMaxControlMessage + 1> buffer;
  for (;;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
    if (got <= 0) return ControlMessage{ControlMessage::Kind::Gone, {}};
    const auto size = static_cast<std::size_t>(got);
    if (size > kMaxControlMessage) continue;  // cut off by recv: not a message of ours
    if (auto message = parse({buffer.data(), size})) return message;
  }
}

}  // namespace supervisor
