// The kernel socket filter: an eBPF program that runs for every segment before the kernel joins
// them, and a ring buffer that carries what it saw. One program and one ring a worker: no locks;
// the worker drains its ring when its own sockets become readable, and is woken where the ring
// fills meanwhile.
//
// Loading needs CAP_BPF (and CAP_NET_ADMIN on some kernels); reading does not: a process forked
// after load() keeps using it without rights.
#pragma once

#include <cstdint>
#include <memory>

#include "milter/capture/segment_event.h"
#include "milter/net/fd.h"

namespace capture {

class KernelFilter {
 public:
  // Throws std::runtime_error that says what is missing (right, BTF, JIT). `ring_bytes`: a power of
  // two, at least a page.
  static std::unique_ptr<KernelFilter> load(std::size_t ring_bytes);
  // Of a filter that another program has loaded and attached; owns `ring` from here on. Needs no
  // rights. Throws std::runtime_error.
  static std::unique_ptr<KernelFilter> adopt(net::Fd ring);
  ~KernelFilter();

  // Attaches to a listening socket; the sockets it accepts inherit the program. Requires: loaded
  // here.
  void attach(int listener);
  // Of the ring: stays this object's.
  int ring_fd() const;

  // The segments of this accepted socket are not wanted any more.
  static void ignore(int socket);

  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void segment(const SegmentEvent& event) = 0;
  };
  // Hands every event that is in the ring to `sink`. Not thread-safe: one caller at a time.
  void drain(Sink& sink);
  // Becomes readable (epoll) when a quarter of the ring is full.
  int fd() const;

 private:
  struct Impl;
  explicit KernelFilter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
