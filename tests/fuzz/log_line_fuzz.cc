// A file that is said to be a log of segmilter may hold anything. Input: a line.
#include <string_view>

#include "milter/offline/log_line.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto logged = offline::read_log_line(line);
  if (!logged) return 0;
  // Unescaping only makes text shorter: JSON's \u0000 has six bytes and becomes three at most.
  fuzz::require(logged->trace.size() <= line.size() && logged->helo.size() <= line.size());
  const bool json = line.find('{') != line.npos;  // JSON may escape characters of a key
  fuzz::require(json || line.find("trace") != line.npos || logged->trace.empty());
  return 0;
}
