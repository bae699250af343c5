// A ring buffer that a kernel program writes into, mapped, and drained when its owner wants to:
// what the two captures share. One caller at a time.
#pragma once

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "milter/capture/bpf.h"

namespace capture {

// `give`: hands one event of the ring to a sink.
template <typename Sink, void (*give)(Sink&, const void* event, std::size_t size)>
class Ring {
 public:
  Ring() = default;
  ~Ring() {
    if (ring_ != nullptr) ring_buffer__free(ring_);
    for (Position* position : {consumed_, produced_}) {
      if (position != nullptr) munmap(position, page());
    }
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // `attempt`: what its failure is told as. Throws std::runtime_error.
  void open(int map, const char* attempt) {
    ring_ = ring_buffer__new(map, take, this, nullptr);
    if (ring_ == nullptr) bpf_failed(attempt, errno);
    consumed_ = map_position(map, 0);
    produced_ = map_position(map, page());
    if (consumed_ == nullptr || produced_ == nullptr) bpf_failed(attempt, errno);
  }

  // Hands over all events that were begun before the call. False: some of them are still to come.
  // Requires: open.
  //
  // One that a program has begun and not finished, on a processor that does something else in
  // between, holds up those behind it, which others have finished. They are waited for, but not for
  // long: the processor may be away.
  bool drain(Sink& sink) {
    constexpr std::chrono::milliseconds kMostWait{5};
    sink_ = &sink;
    ring_buffer__consume(ring_);
    const std::uint64_t begun = produced_->load(std::memory_order_acquire);
    const auto all = [&] { return consumed_->load(std::memory_order_acquire) >= begun; };
    if (all()) return true;
    const auto until = std::chrono::steady_clock::now() + kMostWait;
    do {
      ring_buffer__consume(ring_);
    } while (!all() && std::chrono::steady_clock::now() < until);
    return all();
  }
  // Readable when the kernel program wakes whoever waits.
  int fd() const { return ring_buffer__epoll_fd(ring_); }

 private:
  // The ring's first two pages begin with how many bytes were consumed, and how many begun.
  // Documentation/bpf/ringbuf.rst.
  using Position = std::atomic<std::uint64_t>;
  static std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
  static Position* map_position(int map, std::size_t offset) {
    void* at = mmap(nullptr, page(), PROT_READ, MAP_SHARED, map, static_cast<off_t>(offset));
    return at == MAP_FAILED ? nullptr : static_cast<Position*>(at);
  }

  static int take(void* self, void* event, std::size_t size) {
    give(*static_cast<Ring*>(self)->sink_, event, size);
    return 0;
  }

  ring_buffer* ring_ = nullptr;
  Sink* sink_ = nullptr;
  Position* consumed_ = nullptr;
  Position* produced_ = nullptr;
};

}  // namespace capture
