// A CSV file of networks. Whatever it is, it is refused with a line of it, or each network that it
// names is found by its first address, in a bounded number of steps.
#include "milter/reputation/network_list.h"

#include <cstdint>
#include <string_view>

#include "tests/fuzz/fuzz_input.h"
#include "text/lines.h"

using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = reputation::NetworkList::parse(text);
  if (const auto* error = std::get_if<reputation::NetworkList::Error>(&parsed)) {
    require(!error->message.empty());
    require(error->line >= 1 && error->line <= size + 1);
    return 0;
  }
  const auto& list = std::get<reputation::NetworkList>(parsed);
  require(list.size() <= size);
  for (auto rest = text; !rest.empty();) {
    const auto line = text::trimmed(text::take_line(rest));
    const auto network = net::Network::parse(text::trimmed(line.substr(0, line.find(','))));
    if (!network) continue;
    const auto facts = list.find(net::Endpoint::from_bytes(network->first(), 0));
    require(facts.country.empty() || facts.country.size() == 2);
    require(!facts.asn || *facts.asn != 0);
  }
  return 0;
}
