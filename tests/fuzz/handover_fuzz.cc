// What one program hands to the next comes from the environment, which any user may set: it is
// parsed as it was printed, or not at all.
#include "milter/supervisor/handover.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto handover = supervisor::parse_handover(text);
  if (!handover) return 0;
  fuzz::require(!handover->listeners.empty());
  for (const auto& row : handover->listeners) {
    for (const int fd : row) fuzz::require(fd >= 0);
  }
  for (const int fd : handover->rings) fuzz::require(fd >= 0);
  for (const int fd : handover->desk) fuzz::require(fd >= 0);
  for (const pid_t pid : handover->children) fuzz::require(pid > 0);
  const auto again = supervisor::parse_handover(supervisor::print(*handover));
  fuzz::require(again == handover);
  return 0;
}
