#include "milter/offline/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

namespace offline {
namespace {

// The event's descriptor, for the signal handler, which cannot reach the object.
std::atomic<int> event_fd{-1};
static_assert(std::atomic<int>::is_always_lock_free);

void raise_event(int fd) {
  const std::uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void on_signal(int) {
  const int before = errno;
  raise_event(event_fd);
  errno = before;
}

}  // namespace

void Interrupt::handle(int signal, void (*handler)(int)) {
  Handled handled{.signal = signal, .before = {}};
  sigaction(signal, nullptr, &handled.before);
  if (handled.before.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(signal, &action, nullptr);
  handled_.push_back(handled);
}

Interrupt::Interrupt() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) throw std::system_error(errno, std::generic_category(), "make an eventfd");
  event_fd = event_.get();
  for (const int signal : {SIGINT, SIGTERM}) handle(signal, on_signal);
  handle(SIGPIPE, SIG_IGN);
}

Interrupt::~Interrupt() {
  for (const Handled& handled : handled_) sigaction(handled.signal, &handled.before, nullptr);
  event_fd = -1;
}

bool Interrupt::requested() const {
  pollfd wanted{.fd = event_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) == 1;
}

void Interrupt::request() {
  raise_event(event_.get());
}

}  // namespace offline
