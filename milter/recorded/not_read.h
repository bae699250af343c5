// Counts, by kind, the packets of a capture that are not TCP and cannot be understood. So a report
// of "no messages" is not mistaken for "no mail". Bounded. One thread.
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
    Cut,          // headers that were not captured completely, or that contradict themselves
    Nested,       // more layers than kMaxLayers
  };

  void add(Kind kind, std::uint32_t number);

  // Returns "213 of link type 6, 4 of IP protocol 94"; empty if there is nothing to report.
  std::string text() const;
  std::uint64_t packets() const;

 private:
  struct Entry {
    Kind kind;
    std::uint32_t number;
    std::uint64_t packets;
  };
  // Chosen, not measured: a text of more kinds would not be read. Further kinds are counted
  // together.
  static constexpr std::size_t kMaxEntries = 32;

  std::vector<Entry> entries_;
  std::uint64_t others_ = 0;  // packets of further kinds
};

}  // namespace recorded
