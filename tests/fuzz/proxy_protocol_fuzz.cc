// The reader of PROXY headers on any bytes. Its answer is bounded, does not change when more bytes
// come, and asks for more only if more bytes could help.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "milter/net/proxy_protocol.h"

namespace {

using net::ProxyHeader;
using Outcome = net::ProxyHeader::Outcome;

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(const ProxyHeader& a, const ProxyHeader& b) {
  return a.size == b.size && a.local == b.local && a.client == b.client && a.server == b.server;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = net::read_proxy_header(bytes);
  require(whole.outcome != Outcome::Complete ||
          (whole.size > 0 && whole.size <= size && whole.size <= net::kMostProxyHeader));
  require((whole.outcome == Outcome::Refused) == !whole.reason.empty());
  require(whole.outcome != Outcome::More || size < net::kMostProxyHeader);
  // Byte by byte, as a header may come: first "more", then one answer that does not change.
  Outcome before = Outcome::More;
  for (std::size_t end = 0; end <= size && end <= net::kMostProxyHeader; ++end) {
    const auto part = net::read_proxy_header(bytes.substr(0, end));
    require(before == Outcome::More || part.outcome == before);
    if (part.outcome == Outcome::Complete) {
      require(part.size <= end && whole.outcome == Outcome::Complete && same(part, whole));
    }
    before = part.outcome;
  }
  return 0;
}
