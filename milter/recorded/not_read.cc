#include "milter/recorded/not_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace recorded {
namespace {

std::string name_of(NotRead::Kind kind, std::uint32_t number) {
  using Kind = NotRead::Kind;
  switch (kind) {
    case Kind::LinkType:
      return fmt::format("of link type {} (tcpdump.org/linktypes.html)", number);
    case Kind::EtherType:
      return fmt::format("of ethertype 0x{:04x}", number);
    case Kind::IpProtocol:
      return fmt::format("of IP protocol {}", number);
    case Kind::PppProtocol:
      return fmt::format("of PPP protocol 0x{:04x}", number);
    case Kind::Tunnel:
      return fmt::format("of a tunnel ({}) with a header that is not understood", number);
    case Kind::Encrypted:
      return number == 0 ? "of encrypted Wi-Fi" : fmt::format("encrypted (IP protocol {})", number);
    case Kind::Cut:
      return "with headers that are cut (snap length) or contradict themselves";
    case Kind::Nested:
      return "of more than 32 layers";
  }
  return {};
}

}  // namespace

void NotRead::add(Kind kind, std::uint32_t number) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.kind == kind && entry.number == number;
  });
  if (found != entries_.end()) {
    ++found->packets;
  } else if (entries_.size() < kMaxEntries) {
    entries_.push_back({kind, number, 1});
  } else {
    ++others_;
  }
}

std::string NotRead::text() const {
  std::string out;
  for (const Entry& entry : entries_) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{} {}", entry.packets, name_of(entry.kind, entry.number));
  }
  if (others_ != 0) out += fmt::format(", {} of other kinds", others_);
  return out;
}

std::uint64_t NotRead::packets() const {
  return std::accumulate(entries_.begin(), entries_.end(), others_,
                         [](std::uint64_t sum, const Entry& entry) { return sum + entry.packets; });
}

}  // namespace recorded
