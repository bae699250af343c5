#include "milter/capture/kernel_filter.h"

#include <bpf/libbpf.h>
#include <sys/socket.h>

#include <cerrno>

#include "milter/capture/bpf.h"
#include "milter/capture/ring.h"
#include "milter/net/fd.h"
#include "segments.skel.h"

namespace capture {
namespace {

void give(KernelFilter::Sink& sink, const void* event, std::size_t size) {
  if (size >= sizeof(SegmentEvent)) sink.segment(*static_cast<const SegmentEvent*>(event));
}

}  // namespace

struct KernelFilter::Impl {
  segments_bpf* skeleton = nullptr;  // null if the ring was adopted
  net::Fd adopted;                   // the ring's map, if adopted; otherwise the skeleton owns it
  Ring<Sink, give> ring;

  int map() const { return adopted ? adopted.get() : bpf_map__fd(skeleton->maps.events); }
  void open_ring() { ring.open(map(), "map the kernel filter's ring"); }

  ~Impl() {
    if (skeleton != nullptr) segments_bpf__destroy(skeleton);
  }
};

KernelFilter::KernelFilter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KernelFilter::~KernelFilter() = default;

std::unique_ptr<KernelFilter> KernelFilter::load(std::size_t ring_bytes) {
  hold_bpf_messages();
  auto impl = std::make_unique<Impl>();
  impl->skeleton = segments_bpf__open();
  if (impl->skeleton == nullptr) bpf_failed("open the kernel filter", errno);
  bpf_map__set_max_entries(impl->skeleton->maps.events, static_cast<__u32>(ring_bytes));
  impl->skeleton->rodata->wake_bytes = ring_bytes / 4;
  if (const int error = segments_bpf__load(impl->skeleton))
    bpf_failed("load the kernel filter", -error);
  impl->open_ring();
  return std::unique_ptr<KernelFilter>(new KernelFilter(std::move(impl)));
}

std::unique_ptr<KernelFilter> KernelFilter::adopt(net::Fd ring) {
  hold_bpf_messages();
  auto impl = std::make_unique<Impl>();
  impl->adopted = std::move(ring);
  impl->open_ring();
  return std::unique_ptr<KernelFilter>(new KernelFilter(std::move(impl)));
}

int KernelFilter::ring_fd() const {
  return impl_->map();
}

void KernelFilter::attach(int listener) {
  const int program = bpf_program__fd(impl_->skeleton->progs.see_segment);
  net::check(setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program),
             "attach the kernel filter");
}

void KernelFilter::ignore(int socket) {
  const int unused = 0;
  setsockopt(socket, SOL_SOCKET, SO_DETACH_BPF, &unused, sizeof unused);
}

void KernelFilter::drain(Sink& sink) {
  impl_->ring.drain(sink);
}

int KernelFilter::fd() const {
  return impl_->ring.fd();
}

}  // namespace capture
