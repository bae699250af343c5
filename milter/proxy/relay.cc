#include "milter/proxy/relay.h"

#include <sys/socket.h>

#include <cerrno>

namespace proxy {
namespace {

// The kernel being short of memory is not the end of the peer: the bytes are still there, and a
// later turn moves them.
bool try_later(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS ||
         error == ENOMEM;
}

}  // namespace

Relay::Read Relay::read(int source, std::span<char> scratch, std::span<const char>& received) {
  const ssize_t got = ::recv(source, scratch.data(), scratch.size(), 0);
  if (got > 0) {
    received = {scratch.data(), static_cast<std::size_t>(got)};
    return Read::Bytes;
  }
  if (got < 0 && try_later(errno)) return Read::Nothing;
  state_ = State::Flushing;
  return Read::End;
}

void Relay::write(int sink, std::span<const char> bytes) {
  used_ = true;
  ssize_t sent = ::send(sink, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (!try_later(errno)) {
      state_ = State::Broken;
      return;
    }
    sent = 0;
  }
  if (static_cast<std::size_t>(sent) == bytes.size()) return;
  backlog_.assign(bytes.data() + sent, bytes.size() - sent);
  sent_ = 0;
}

void Relay::flush(int sink) {
  if (over()) return;
  while (sent_ < backlog_.size()) {
    const ssize_t sent =
        ::send(sink, backlog_.data() + sent_, backlog_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (!try_later(errno)) state_ = State::Broken;
      return;
    }
    sent_ += static_cast<std::size_t>(sent);
  }
  std::string().swap(backlog_);  // frees the memory too: the sink may be fast again for a long time
  sent_ = 0;
  if (state_ == State::Flushing) {
    ::shutdown(sink, SHUT_WR);
    state_ = State::Done;
  }
}

}  // namespace proxy
