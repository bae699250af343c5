// A configuration from an administrator, parsed as carefully as a stranger's: TOML text → Config or
// one error line.
//
// What must hold: no exception but ConfigError is thrown, and its text names the file; a
// configuration that is accepted is printed as TOML that is accepted again and means the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "milter/config/checks.h"
#include "milter/config/load.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const config::Config config = config::parse(text, "fuzz.toml");
    const std::string printed = config::print(config);
    require(config::print(config::parse(printed, "again.toml")) == printed);
    (void)config::warnings(config);
  } catch (const config::ConfigError& error) {
    const std::string_view what = error.what();
    require(what.starts_with("fuzz.toml") && what.find('\n') == what.npos);
  }
  return 0;
}
