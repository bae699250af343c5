// A ring buffer into which a kernel program writes. It is mapped into this process and drained when
// its owner calls drain(). Both captures use it. One caller at a time.
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

// `give` passes one event of the ring to a sink.
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

  // `attempt` names the operation in the error. Throws std::runtime_error.
  void open(int map, const char* attempt) {
    ring_ = ring_buffer__new(map, take, this, nullptr);
    if (ring_ == nullptr) bpf_failed(attempt, errno);
    consumed_ = map_position(map, 0);
    produced_ = map_position(map, page());
    if (consumed_ == nullptr || produced_ == nullptr) bpf_failed(attempt, errno);
  }

  // Passes on all events that were begun before the call. Returns false if some of them are not
  // finished. Requires: open() was called.
  //
  // A kernel program may be interrupted between the beginning and the end of an event. Events after
  // it cannot be read until it is finished, even if other processors have finished them. drain()
  // waits for it, but at most 5 ms, because that processor may be busy for long. The 5 ms are
  // chosen, not measured: a longer wait would delay all sessions of the worker, a shorter one would
  // give more messages the reason `overload`.
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
  // A file descriptor that becomes readable when the kernel program wakes the reader.
  int fd() const { return ring_buffer__epoll_fd(ring_); }

 private:
  // The ring's first two pages begin with two counters: the bytes consumed, and the bytes begun.
  // Documentation/bpf/ringbuf.rst in the Linux source.
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
