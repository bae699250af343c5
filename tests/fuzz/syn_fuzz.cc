// The SYN reader on any bytes: it answers or refuses, and its answer is bounded.
#include <cstdint>
#include <cstdlib>

#include "milter/tcp/syn.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto syn = tcp::parse_syn({data, size})) {
    if (syn->signature.size() > 1000) std::abort();
  }
  return 0;
}
