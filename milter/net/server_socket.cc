#include "milter/net/server_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>

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

void bind(const Fd& socket, const Endpoint& address, const std::string& attempt) {
  sockaddr_storage storage;
  const socklen_t length = address.fill(storage);
  check(::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), length), attempt);
}

}  // namespace net
