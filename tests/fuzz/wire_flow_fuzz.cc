// Packets from strangers as the wire tap passes them on, in any order, with any holes, notes and
// flags.
//
// Input: packets. Each has one byte for its kind, three for its place, one for its size, then its
// bytes. What must hold: a trace that the table gives can be printed, parsed and judged; no more is
// kept than the limits allow.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace_text.h"
#include "milter/tcp/flags.h"
#include "milter/wire/flows.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::size_t kFlows = 2;

class Packets {
 public:
  Packets(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool next(capture::WirePacket& packet) {
    if (at_ + 5 > size_) return false;
    const std::uint8_t what = data_[at_];
    const auto place =
        static_cast<std::int16_t>(data_[at_ + 1] | static_cast<unsigned>(data_[at_ + 2]) << 8);
    const std::uint8_t shape = data_[at_ + 3];
    const std::size_t some = std::min<std::size_t>(data_[at_ + 4], size_ - at_ - 5);
    bytes_.assign(reinterpret_cast<const char*>(data_) + at_ + 5, some);
    at_ += 5 + some;

    packet = {};
    // more ports than kFlows
    const auto port = static_cast<std::uint16_t>(1000 + (what >> 6));
    packet.client = net::Endpoint::from_bytes(kAddress, port);
    packet.server = net::Endpoint::from_bytes(kAddress, 25);
    packet.from_server = (what & 1) != 0;
    packet.note = (what & 2) != 0;
    if ((what & 4) != 0) packet.tcp_flags |= tcp::kSyn;
    if ((what & 8) != 0) packet.tcp_flags |= tcp::kFin;
    if ((what & 48) == 48) packet.tcp_flags |= tcp::kRst;
    // Most packets follow one another, so that sessions develop; others lie anywhere.
    std::uint32_t& sent = sent_[packet.from_server ? 1 : 0];
    packet.size = static_cast<std::uint32_t>(some) * ((shape & 1) != 0 ? 40U : 1U);
    packet.seq = (what & 16) != 0 ? sent + static_cast<std::uint32_t>(place) : sent;
    if ((what & 16) == 0 && !packet.note) sent += packet.size;
    const std::uint32_t taken = packet.from_server ? sent_[0] : sent_[1] + 1;
    packet.ack = (what & 32) != 0 ? static_cast<std::uint32_t>(place) : taken;
    if ((packet.tcp_flags & tcp::kSyn) != 0) {
      if (!packet.from_server) isn_ = packet.seq;
      if (packet.from_server && (what & 32) == 0) packet.ack = isn_ + 1;
    }
    if (packet.from_server) taken_ = packet.ack;
    packet.taken = taken_;
    packet.gso_size = static_cast<std::uint16_t>((shape & 2) != 0 ? 100 : 0);
    packet.time_ns = ++time_;
    packet.line_feeds = shape;
    packet.head = bytes_;
    packet.tail = std::string_view(bytes_).substr(some - std::min<std::size_t>(some, 16));
    if ((shape & 4) != 0) {
      record_ = {place, static_cast<std::uint16_t>(some), static_cast<std::uint8_t>(shape >> 3), 3};
      packet.records = {&record_, 1};
    }
    return true;
  }

 private:
  static constexpr std::array<std::uint8_t, 16> kAddress = {1};
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::uint32_t sent_[2] = {1, 1};
  std::uint32_t isn_ = 0;    // of the client's last SYN
  std::uint32_t taken_ = 0;  // what the server's last packet acknowledged
  std::uint64_t time_ = 0;
  std::string bytes_;
  capture::WireRecord record_{};
};

void check(const evidence::Table& table, const net::Endpoint& client) {
  for (const std::uint64_t body : {0, 100, 3000}) {
    const auto found = table.find({.client = client, .shown = {.header = 100, .body = body}});
    const auto* trace = std::get_if<classifier::Trace>(&found);
    if (trace == nullptr) continue;
    require(trace->via == classifier::Via::Wire);
    const auto again = classifier::parse_trace(classifier::print(*trace));
    require(std::get<classifier::Trace>(again) == *trace);
    const auto verdict = classifier::classify(*trace, {});
    require(verdict.confidence >= 0 && verdict.confidence <= 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evidence::Table table(100, std::chrono::seconds(60));
  wire::Counters counters;
  wire::Flows flows(table, counters, kFlows, 64);
  Packets packets(data, size);
  capture::WirePacket packet;
  while (packets.next(packet)) {
    flows.packet(packet);
    require(flows.size() <= kFlows);
    check(table, packet.client);
  }
  flows.expire(~std::uint64_t{0});
  require(flows.size() == 0);
  return 0;
}
