// The kernel socket filter: an eBPF program that runs for every segment before the kernel joins
// segments, and a ring buffer with the events it reports. Each worker has its own program and ring,
// so there are no locks. A worker drains its ring when one of its own sockets becomes readable. The
// kernel wakes it earlier if a quarter of the ring is full.
//
// Loading needs CAP_BPF (on some kernels also CAP_NET_ADMIN). Reading needs no rights: a process
// that is forked after load() can keep using the ring without rights.
#pragma once

#include <cstdint>
#include <memory>

#include "milter/capture/segment_event.h"
#include "milter/net/fd.h"

namespace capture {

class KernelFilter {
 public:
  // Throws std::runtime_error that names what is missing (right, BTF, JIT). `ring_bytes`: a power
  // of two, at least a page.
  static std::unique_ptr<KernelFilter> load(std::size_t ring_bytes);
  // Takes over the ring of a filter that another program has loaded and attached. Owns `ring` from
  // then on. Needs no rights. Throws std::runtime_error.
  static std::unique_ptr<KernelFilter> adopt(net::Fd ring);
  ~KernelFilter();

  // Attaches the program to a listening socket. The sockets that it accepts inherit the program.
  // Requires: this object was made by load().
  void attach(int listener);
  // The file descriptor of the ring. This object keeps the ownership.
  int ring_fd() const;

  // Stops events from this accepted socket.
  static void ignore(int socket);

  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void segment(const SegmentEvent& event) = 0;
  };
  // Passes every event in the ring to `sink`. Not thread-safe: one caller at a time.
  void drain(Sink& sink);
  // A file descriptor that becomes readable (epoll) when a quarter of the ring is full.
  int fd() const;

 private:
  struct Impl;
  explicit KernelFilter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
