#include "milter/capture/wire_tap.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include "milter/capture/bpf.h"
#include "milter/capture/ring.h"
#include "milter/net/fd.h"
#include "milter/net/keyed_hash.h"
#include "wire.skel.h"

namespace capture {
namespace {

void give(WireTap::Sink& sink, const void* data, std::size_t size) {
  if (size < sizeof(WireEvent)) return;
  const auto& event = *static_cast<const WireEvent*>(data);
  const char* head = static_cast<const char*>(data) + sizeof event;
  const std::size_t room = size - sizeof event;
  sink.packet({
      .client = net::Endpoint::from_bytes(event.client, event.client_port),
      .server = net::Endpoint::from_bytes(event.server, event.server_port),
      .from_server = (event.flags & WIRE_FROM_SERVER) != 0,
      .note = (event.flags & WIRE_NOTE) != 0,
      .tcp_flags = event.tcp_flags,
      .seq = event.seq,
      .ack = event.ack,
      .taken = event.taken,
      .size = event.size,
      .gso_size = event.gso_size,
      .time_ns = event.time_ns,
      .line_feeds = event.line_feeds,
      .returns = event.returns,
      .head = {head, std::min<std::size_t>(event.head_size, room)},
      .tail = {event.tail, std::min<std::size_t>(event.tail_size, WIRE_TAIL)},
      .records = {event.record, std::min<std::size_t>(event.records, WIRE_RECORDS)},
  });
}

// The program is attached before the socket is bound. An unbound socket receives no packets, so the
// program sees all of them.
net::Fd open_socket(int program, const std::string& interface) {
  net::Fd fd(net::check(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                        "open a packet socket (CAP_NET_RAW)"));
  net::check(setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program),
             "attach the wire's kernel program");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  const std::string attempt = "wire.interface: " + (interface.empty() ? "all" : interface);
  if (!interface.empty()) {
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (address.sll_ifindex == 0) net::check(-1, attempt);
  }
  net::check(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), attempt);
  return fd;
}

}  // namespace

struct WireTap::Impl {
  wire_bpf* skeleton = nullptr;
  Ring<Sink, give> ring;
  net::Fd socket;
  // The counters dropped_of at the last call of mark(), and at the call before it.
  std::array<std::uint32_t, WIRE_SLOTS> last{};
  std::array<std::uint32_t, WIRE_SLOTS> before{};

  ~Impl() {
    socket.reset();
    if (skeleton != nullptr) wire_bpf__destroy(skeleton);
  }
};

WireTap::WireTap(const Settings& settings) : impl_(std::make_unique<Impl>()) {
  hold_bpf_messages();
  impl_->skeleton = wire_bpf__open();
  if (impl_->skeleton == nullptr) bpf_failed("open the wire's kernel program", errno);
  wire_bpf& program = *impl_->skeleton;
  bpf_map__set_max_entries(program.maps.events, static_cast<__u32>(settings.ring_bytes));
  bpf_map__set_max_entries(program.maps.flows, static_cast<__u32>(settings.max_flows));
  bpf_map__set_max_entries(program.maps.half_open, static_cast<__u32>(settings.max_flows));
  program.rodata->secret = static_cast<__u32>(net::random_seed());
  std::copy_n(settings.ports.begin(), std::min(settings.ports.size(), kMostPorts),
              std::begin(program.rodata->ports));
  program.rodata->wake_bytes = settings.ring_bytes / 4;
  if (const int error = wire_bpf__load(&program)) {
    bpf_failed("load the wire's kernel program", -error);
  }
  impl_->ring.open(bpf_map__fd(program.maps.events), "map the wire's ring");
  impl_->socket = open_socket(bpf_program__fd(program.progs.see_packet), settings.interface);
}

WireTap::~WireTap() = default;

bool WireTap::drain(Sink& sink) {
  return impl_->ring.drain(sink);
}

int WireTap::fd() const {
  return impl_->ring.fd();
}

bool WireTap::missed(const net::Endpoint& client) const {
  const std::uint32_t slot =
      wire_slot(client.bytes().data(), client.port(), impl_->skeleton->rodata->secret);
  const auto& counts = impl_->skeleton->bss->dropped_of;
  return __atomic_load_n(&counts[slot], __ATOMIC_RELAXED) != impl_->before[slot];
}

void WireTap::mark() {
  const auto& counts = impl_->skeleton->bss->dropped_of;
  impl_->before = std::exchange(impl_->last, {});
  std::transform(std::begin(counts), std::end(counts), impl_->last.begin(),
                 [](const auto& count) { return __atomic_load_n(&count, __ATOMIC_RELAXED); });
}

std::uint64_t WireTap::dropped() const {
  return __atomic_load_n(&impl_->skeleton->bss->dropped, __ATOMIC_RELAXED);
}

}  // namespace capture
