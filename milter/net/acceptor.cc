#include "milter/net/acceptor.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace net {

Acceptor::Acceptor(event_base* base, Fd listener, timeval pause, std::function<void(Fd)> accepted)
    : base_(base),
      listener_(std::move(listener)),
      pause_(pause),
      accepted_(std::move(accepted)),
      readable_(make_event(
          base, listener_.get(), EV_READ | EV_PERSIST,
          [](evutil_socket_t, short, void* self) { static_cast<Acceptor*>(self)->accept(); },
          this)) {}

void Acceptor::accept() {
  Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd) return accepted_(std::move(fd));
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause();
  // The listener was shut down: it stays readable, and nobody comes any more.
  if (errno == EINVAL) readable_.reset();
}

void Acceptor::pause() try {
  again_ = make_event(
      base_, -1, EV_PERSIST,
      [](evutil_socket_t, short, void* self) { static_cast<Acceptor*>(self)->resume(); }, this,
      &pause_);
  event_del(readable_.get());
} catch (const std::bad_alloc&) {
  // Then it tries again without a pause. That is expensive, but better than never accepting again.
}

// If memory is short, the next call tries again.
void Acceptor::resume() {
  if (event_add(readable_.get(), nullptr) == 0) event_del(again_.get());
}

}  // namespace net
