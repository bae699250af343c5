#include "milter/capture/kernel_filter.h"

#include <bpf/libbpf.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "milter/net/fd.h"
#include "segments.skel.h"

namespace capture {
namespace {

// libbpf explains a refused program in many lines on stderr; the last warning is the one that says
// why. It is kept for the exception.
thread_local std::string last_warning;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  last_warning = line;
  while (!last_warning.empty() && last_warning.back() == '\n') last_warning.pop_back();
  return 0;
}

[[noreturn]] void fail(const char* what, int error) {
  std::string text = std::string(what) + ": " + std::strerror(error);
  if (error == EPERM) text += " (CAP_BPF and CAP_NET_ADMIN are needed)";
  if (!last_warning.empty()) text += "; " + last_warning;
  throw std::runtime_error(text);
}

int hand_over(void* context, void* data, std::size_t size) {
  if (size >= sizeof(SegmentEvent)) {
    static_cast<KernelFilter::Sink*>(context)->segment(*static_cast<const SegmentEvent*>(data));
  }
  return 0;
}

// libbpf binds a ring's callback context when the ring is made; this passes each drain's sink on.
struct Forward final : KernelFilter::Sink {
  Sink* to = nullptr;
  void segment(const SegmentEvent& event) override { to->segment(event); }
};

}  // namespace

struct KernelFilter::Impl {
  segments_bpf* skeleton = nullptr;
  ring_buffer* ring = nullptr;
  Forward forward;

  ~Impl() {
    if (ring != nullptr) ring_buffer__free(ring);
    if (skeleton != nullptr) segments_bpf__destroy(skeleton);
  }
};

KernelFilter::KernelFilter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KernelFilter::~KernelFilter() = default;

std::unique_ptr<KernelFilter> KernelFilter::load(std::size_t ring_bytes) {
  last_warning.clear();
  libbpf_set_print(keep_warning);
  auto impl = std::make_unique<Impl>();
  impl->skeleton = segments_bpf__open();
  if (impl->skeleton == nullptr) fail("open the kernel filter", errno);
  bpf_map__set_max_entries(impl->skeleton->maps.events, static_cast<__u32>(ring_bytes));
  if (const int error = segments_bpf__load(impl->skeleton)) fail("load the kernel filter", -error);
  impl->ring = ring_buffer__new(bpf_map__fd(impl->skeleton->maps.events), hand_over, &impl->forward,
                                nullptr);
  if (impl->ring == nullptr) fail("map the kernel filter's ring", errno);
  return std::unique_ptr<KernelFilter>(new KernelFilter(std::move(impl)));
}

void KernelFilter::attach(int listener) {
  const int program = bpf_program__fd(impl_->skeleton->progs.see_segment);
  net::check(setsockopt(listener, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program),
             "attach the kernel filter");
}

void KernelFilter::drain(Sink& sink) {
  impl_->forward.to = &sink;
  ring_buffer__consume(impl_->ring);
}

std::uint64_t KernelFilter::dropped() const {
  return __atomic_load_n(&impl_->skeleton->bss->dropped, __ATOMIC_RELAXED);
}

}  // namespace capture
