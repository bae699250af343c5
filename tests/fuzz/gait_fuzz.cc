// Files of gaits and claims come from administrators, and examples of them from strangers. Any
// bytes must be entries that print and parse to themselves, or an error on a line of the input.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "classifier/claims.h"
#include "classifier/gait.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace classifier;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ClaimTable table;
  if (const auto error = table.add(text)) {
    if (error->message.empty() || error->line == 0 || !table.rows().empty()) std::abort();
  }
  GaitBook book;
  if (const auto error = book.add(text)) {
    if (error->message.empty() || error->line > size + 1 || !book.gaits().empty()) std::abort();
    return 0;
  }
  Traits traits;
  for (const std::uint32_t offset : {0U, 40U, 4096U, 8189U, 0xffffffffU}) {
    traits.offset = offset;
    traits.size = offset;
    traits.full = offset % 1448;
    (void)book.match(traits);
  }
  for (const Gait& gait : book.gaits()) {
    GaitBook again;
    if (again.add(print(gait)) || !(again.gaits().front() == gait)) std::abort();
  }
  return 0;
}
