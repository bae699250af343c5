// One message is one packet: SOCK_SEQPACKET keeps the boundaries, so nothing is framed here. Both
// sides are processes of the same program. An unknown message is ignored.
#include "milter/process/control.h"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

namespace process {
namespace {

constexpr std::string_view kDrain = "drain";
constexpr std::string_view kReload = "reload\n";
constexpr std::string_view kReady = "ready";
constexpr std::string_view kPing = "ping";
constexpr std::string_view kHandover = "handover";
constexpr std::string_view kPong = "pong";
constexpr std::string_view kHandedOver = "handed over";
constexpr std::string_view kSocket = "socket\n";
constexpr std::string_view kSocketLost = "socket lost\n";

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
    case ControlMessage::Kind::Socket:
      return std::string(kSocket) + message.text;
    case ControlMessage::Kind::SocketLost:
      return std::string(kSocketLost) + message.text;
    case ControlMessage::Kind::Gone:
      return {};  // never sent: closing the line means this
  }
  return {};
}

std::optional<ControlMessage> parse(std::string_view text) {
  using Kind = ControlMessage::Kind;
  constexpr std::pair<std::string_view, Kind> kWords[] = {
      {kDrain, Kind::Drain},       {kReady, Kind::Ready}, {kPing, Kind::Ping},
      {kHandover, Kind::Handover}, {kPong, Kind::Pong},   {kHandedOver, Kind::HandedOver}};
  for (const auto& [word, kind] : kWords) {
    if (text == word) return ControlMessage{kind, {}, {}};
  }
  constexpr std::pair<std::string_view, Kind> kFronts[] = {
      {kReload, Kind::Reload}, {kSocket, Kind::Socket}, {kSocketLost, Kind::SocketLost}};
  for (const auto& [front, kind] : kFronts) {
    if (text.starts_with(front)) {
      return ControlMessage{kind, std::string(text.substr(front.size())), {}};
    }
  }
  return std::nullopt;
}

// Room for one descriptor that is sent with a message.
using Beside = std::array<char, CMSG_SPACE(sizeof(int))>;

net::Fd take_descriptor(msghdr& packet) {
  for (auto* part = CMSG_FIRSTHDR(&packet); part != nullptr; part = CMSG_NXTHDR(&packet, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return net::Fd(fd);
  }
  return {};
}

// The whole packet must fit into the send buffer. The kernel limits the value to net.core.wmem_max
// and then doubles it for its own overhead. The default limit is large enough for
// kMaxControlMessage.
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
  std::string text = packet(message);
  if (text.empty() || text.size() > kMaxControlMessage) return false;
  iovec bytes{text.data(), text.size()};
  msghdr out{};
  out.msg_iov = &bytes;
  out.msg_iovlen = 1;
  alignas(cmsghdr) Beside beside{};
  if (const int socket = message.socket.get(); socket >= 0) {
    out.msg_control = beside.data();
    out.msg_controllen = beside.size();
    auto* part = CMSG_FIRSTHDR(&out);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof socket);
    std::memcpy(CMSG_DATA(part), &socket, sizeof socket);
  }
  ssize_t sent;
  do {
    sent = sendmsg(fd, &out, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(text.size());
}

std::optional<ControlMessage> receive_control(int fd) {
  // Not on the heap: a process that is out of memory must still receive its orders. Only one thread
  // of a process reads control lines.
  static std::array<char, kMaxControlMessage + 1> buffer;
  for (;;) {
    iovec bytes{buffer.data(), buffer.size()};
    alignas(cmsghdr) Beside beside{};
    msghdr in{};
    in.msg_iov = &bytes;
    in.msg_iovlen = 1;
    in.msg_control = beside.data();
    in.msg_controllen = beside.size();
    const ssize_t got = recvmsg(fd, &in, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
    if (got <= 0) return ControlMessage{};
    net::Fd socket = take_descriptor(in);
    const auto size = static_cast<std::size_t>(got);
    if (size > kMaxControlMessage) continue;  // cut off by recvmsg: not one of our messages
    if (auto message = parse({buffer.data(), size})) {
      message->socket = std::move(socket);
      return message;
    }
  }
}

}  // namespace process
