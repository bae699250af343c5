// One direction of the proxy between two sockets with small buffers. Bytes out are bytes in,
// wherever they are cut and whichever side is slow, and the end is passed on after the last byte.
//
// Input: steps, each a byte: what happens, and how much of it.
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "milter/net/fd.h"
#include "milter/proxy/relay.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using fuzz::require;

struct Pair {
  net::Fd near, far;
  Pair() {
    int fds[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    near = net::Fd(fds[0]);
    far = net::Fd(fds[1]);
    for (const int fd : fds) {
      const int size = 2048;  // the kernel takes at least its own minimum
      require(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
    }
  }
};

class Bed {
 public:
  void client_sends(std::size_t size) {
    if (!source_.far) return;
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(next_++ * 31 >> 3);
    const ssize_t sent = send(source_.far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) sent_.append(bytes, 0, static_cast<std::size_t>(sent));
  }
  void client_ends(bool at_once) {
    if (!source_.far) return;
    if (!at_once) shutdown(source_.far.get(), SHUT_WR);
    if (at_once) source_.far = net::Fd();
  }
  // Reads only when the relay wants to, as a session does.
  void relay_reads(std::size_t most) {
    if (!relay_.wants_read()) return;
    std::array<char, 8192> scratch;
    std::span<const char> bytes;
    const auto what = relay_.read(source_.near.get(), {scratch.data(), most}, bytes);
    require((what == proxy::Relay::Read::Bytes) == !bytes.empty());
    if (what == proxy::Relay::Read::Bytes) relay_.write(sink_.near.get(), bytes);
    if (what == proxy::Relay::Read::End) relay_.flush(sink_.near.get());
    require(relay_.backlog() <= most);
  }
  void relay_flushes() { relay_.flush(sink_.near.get()); }
  void server_reads(std::size_t size) {
    if (!sink_.far) return;
    std::string bytes(size, '\0');
    const ssize_t got = recv(sink_.far.get(), bytes.data(), bytes.size(), 0);
    if (got > 0) got_.append(bytes, 0, static_cast<std::size_t>(got));
    if (got == 0) ended_ = true;
  }
  void server_goes() { sink_.far = net::Fd(); }

  // Everything that is on its way arrives, if the server is still there.
  void finish() {
    client_ends(false);
    for (int i = 0; i < 100'000 && !relay_.over() && sink_.far; ++i) {
      relay_reads(8192);
      relay_flushes();
      server_reads(8192);
    }
    require(relay_.over() || !sink_.far);
    while (sink_.far && !ended_) server_reads(8192);
    if (sink_.far) require(got_ == sent_ && relay_.state() == proxy::Relay::State::Done);
    require(sent_.starts_with(got_));
  }

 private:
  Pair source_, sink_;
  proxy::Relay relay_;
  std::string sent_, got_;
  bool ended_ = false;
  unsigned next_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  enum Kind { Send, SendMuch, Read, Flush, Take, TakeMuch, End, Reset, Gone };
  fuzz::Input input(data, std::min<std::size_t>(size, 1024));
  Bed bed;
  while (!input.empty()) {
    const std::size_t amount = 1 + input.byte();
    switch (input.byte() % 32) {
      case End:
        bed.client_ends(false);
        break;
      case Reset:
        bed.client_ends(true);
        break;
      case Gone:
        bed.server_goes();
        break;
      case Send:
        bed.client_sends(amount);
        break;
      case SendMuch:
        bed.client_sends(amount * 32);
        break;
      case Flush:
        bed.relay_flushes();
        break;
      case Take:
        bed.server_reads(amount);
        break;
      case TakeMuch:
        bed.server_reads(amount * 32);
        break;
      default:
        bed.relay_reads(amount * 32);
        break;
    }
  }
  bed.finish();
  return 0;
}
