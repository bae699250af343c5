// A compressed file from a stranger, which may hold a capture.
//
// What must hold: reading comes to an end, in bounded memory, whatever the libraries decompress.
#include <array>
#include <cstdlib>
#include <stdexcept>

#include "milter/offline/unpack.h"
#include "tests/support/capture_builder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string packed(reinterpret_cast<const char*>(data), size);
  const auto packing = offline::packing_of(packed);
  if (packing == offline::Packing::None) return 0;
  const auto read = offline::unpack(packing, support::read_from(packed, 61));
  std::array<char, 4096> buffer;
  constexpr std::size_t kMost = 4 * 1024 * 1024;  // a few compressed bytes can become gigabytes
  std::size_t all = 0;
  try {
    while (const std::size_t got = read(buffer)) {
      if (got > buffer.size()) std::abort();
      all += got;
      if (all > kMost) break;
    }
  } catch (const std::runtime_error&) {
    // Damaged or cut: refused.
  }
  return 0;
}
