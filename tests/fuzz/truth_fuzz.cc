// A table of the truth about recordings, which other people may have written. Rows must be complete
// and stay inside the folder of the recordings, or there is an error that names a line.
#include <set>
#include <sstream>

#include "milter/offline/truth.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<offline::TruthRow> rows;
  try {
    rows = offline::read_truth(in, "truth.tsv");
  } catch (const offline::TruthError& error) {
    fuzz::require(std::string_view(error.what()).starts_with("truth.tsv:"));
    return 0;
  }
  std::set<std::pair<std::string, std::uint32_t>> seen;
  for (const auto& row : rows) {
    fuzz::require(!row.file.empty() && row.file.front() != '/' && row.message > 0);
    fuzz::require(("/" + row.file + "/").find("/../") == std::string::npos);
    fuzz::require(seen.insert({row.file, row.message}).second);
  }
  return 0;
}
