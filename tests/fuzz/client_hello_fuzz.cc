// A ClientHello from a stranger. What must hold: it is read or refused; a fingerprint has its 36
// characters and can be part of a trace; a hello that is cut by one byte has none.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <variant>

#include "classifier/client_hello.h"
#include "classifier/tls_records.h"
#include "classifier/trace_text.h"
#include "milter/seal/sha256.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const char> bytes(reinterpret_cast<const char*>(data), size);
  (void)classifier::read_server_hello(bytes);
  const auto hello = classifier::read_client_hello(bytes);
  if (!hello) return 0;
  classifier::Trace trace;
  trace.hello.ja4 = classifier::ja4(*hello, seal::sha256);
  require(trace.hello.ja4.size() == classifier::kJa4Size);
  const auto again = classifier::parse_trace(classifier::print(trace));
  require(std::holds_alternative<classifier::Trace>(again));
  require(std::get<classifier::Trace>(again) == trace);
  return 0;
}
