// The trace notation comes over the evidence socket and from files. Any bytes must be a trace that
// prints and parses to itself and can be classified, or an error at a place inside the input.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace classifier;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto result = parse_trace(text);
  if (const auto* error = std::get_if<TraceError>(&result)) {
    if (error->offset > size || error->message.empty()) std::abort();
    return 0;
  }
  const Trace& trace = std::get<Trace>(result);
  const std::string printed = print(trace);
  const auto again = parse_trace(printed);
  if (!std::holds_alternative<Trace>(again) || !(std::get<Trace>(again) == trace)) std::abort();
  const Verdict verdict = classify(trace, Policy{});
  if (!(verdict.confidence >= 0 && verdict.confidence <= 1)) std::abort();
  return 0;
}
