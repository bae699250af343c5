// A ring buffer that a kernel program writes into, mapped, and drained when its owner wants to:
// what the two captures share. One caller at a time.
#pragma once

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>

#include "milter/capture/bpf.h"

namespace capture {

// `give`: hands one event of the ring to a sink.
template <typename Sink, void (*give)(Sink&, const void* event, std::size_t size)>
class Ring {
 public:
  Ring() = default;
  ~Ring() {
    if (ring_ != nullptr) ring_buffer__free(ring_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // `attempt`: what its failure is told as. Throws std::runtime_error.
  void open(int map, const char* attempt) {
    ring_ = ring_buffer__new(map, take, this, nullptr);
    if (ring_ == nullptr) bpf_failed(attempt, errno);
  }

  // Requires: open.
  void drain(Sink& sink) {
    sink_ = &sink;
    ring_buffer__consume(ring_);
  }
  // Readable when the kernel program wakes whoever waits.
  int fd() const { return ring_buffer__epoll_fd(ring_); }

 private:
  static int take(void* self, void* event, std::size_t size) {
    give(*static_cast<Ring*>(self)->sink_, event, size);
    return 0;
  }

  ring_buffer* ring_ = nullptr;
  Sink* sink_ = nullptr;
};

}  // namespace capture
