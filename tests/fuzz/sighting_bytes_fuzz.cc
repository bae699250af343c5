// The datagram by which the filter tells memory of a message. Whatever it is, it is refused or it
// is a sighting that fits into a datagram, and from there on nothing of it changes any more.
#include "milter/memory/sighting_bytes.h"

#include <cstdint>
#include <string_view>

#include "tests/fuzz/fuzz_input.h"

using fuzz::require;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto sighting = memory::from_bytes({reinterpret_cast<const char*>(data), size});
  if (!sighting) return 0;
  const auto bytes = memory::to_bytes(*sighting);
  require(bytes.size() <= memory::kMostBytes);
  const auto again = memory::from_bytes(bytes);
  require(again.has_value());
  require(memory::to_bytes(*again) == bytes);
  return 0;
}
