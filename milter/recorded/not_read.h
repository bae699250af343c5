// What a capture has beside TCP and cannot be understood, counted by kind: so that nobody takes "no
// messages" for "no mail". Bounded. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace recorded {

class NotRead {
 public:
  enum class Kind : std::uint8_t {
    LinkType,     // number: LINKTYPE_…
    EtherType,    // number: the ethertype
    IpProtocol,   // number: the protocol
    PppProtocol,  // number: the protocol
    Tunnel,       // number: the UDP port, or GRE's protocol, of a header that is not understood
    Encrypted,    // number: the IP protocol, or 0 for Wi-Fi
    Cut,          // headers that were not captured whole, or contradict themselves
    Nested,       // more layers than kMaxLayers
  };

  void add(Kind kind, std::uint32_t number);

  // "213 of link type 6, 4 of IP protocol 94"; empty when there is nothing.
  std::string text() const;
  std::uint64_t packets() const;

 private:
  struct Entry {
    Kind kind;
    std::uint32_t number;
    std::uint64_t packets;
  };
  static constexpr std::size_t kMaxEntries = 32;

  std::vector<Entry> entries_;
  std::uint64_t others_ = 0;  // of more kinds than are kept
};

}  // namespace recorded
