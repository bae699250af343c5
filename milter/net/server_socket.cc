#include "milter/net/server_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <fstream>

namespace net {

Fd server_socket(const Endpoint& address, const std::string& attempt) {
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  Fd fd(check(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
  const int on = 1;
  check(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), attempt);
  if (family == AF_INET6) {
    check(setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), attempt);
  }
  return fd;
}

bool has_ipv6() {
  std::ifstream addresses("/proc/net/if_inet6");
  return addresses.peek() != std::ifstream::traits_type::eof();
}

bool is_family_missing(const std::error_code& error, const Endpoint& address) {
  if (error == std::errc::address_family_not_supported) return true;
  return error == std::errc::address_not_available && !address.is_v4() && !has_ipv6();
}

void bind(const Fd& socket, const Endpoint& address, const std::string& attempt) {
  sockaddr_storage storage;
  const socklen_t length = address.fill(storage);
  check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length), attempt);
}

std::optional<Endpoint> bound_to(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (getsockname(fd, address, &length) < 0) return std::nullopt;
  return Endpoint::from(address);
}

}  // namespace net
