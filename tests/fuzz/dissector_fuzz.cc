// Frames of any link type from a stranger: link layers, tags, tunnels, IP and its fragments.
//
// Input: frames, each with a link type (2 bytes), a size (2 bytes) and that many bytes. What must
// hold: the reader comes to an end; a packet lies inside the captured bytes and is no larger than
// on the wire.
#include <algorithm>
#include <cstdlib>

#include "milter/recorded/dissector.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 4;
  std::span<const std::uint8_t> input(data, size);
  recorded::Dissector dissector;
  std::uint64_t frames = 0;
  std::uint64_t packets = 0;
  while (input.size() >= kHead) {
    const std::uint32_t link_type = net::get16(input, 0);
    const std::size_t wire = net::get16(input, 2);
    input = input.subspan(kHead);
    const std::size_t captured = std::min(wire, input.size());
    recorded::TcpPacket packet;
    ++frames;
    if (dissector.packet({.link_type = link_type,
                          .time_ns = frames * 1'000'000'000,
                          .wire_size = wire,
                          .bytes = input.first(captured)},
                         packet)) {
      ++packets;
      require(packet.payload.size() <= packet.size);
      require(packet.options.size() <= packet.option_bytes);
      require(packet.headers.size() >= packet.options.size() + 34);
      require(packet.headers.data() + packet.headers.size() ==
              reinterpret_cast<const std::uint8_t*>(packet.payload.data()));
      unsigned sum = 0;
      for (const char byte : packet.payload) sum += static_cast<unsigned char>(byte);
      for (const std::uint8_t byte : packet.headers) sum += byte;
      require(sum != 0xffffffff);
    }
    input = input.subspan(captured);
  }
  require(packets <= frames);
  require(dissector.not_read().packets() <= frames);
  require(dissector.fragments().left_out <= frames);
  require(dissector.fragments().overlapping <= dissector.fragments().left_out);
  return 0;
}
