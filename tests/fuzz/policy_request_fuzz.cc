// Any bytes as a request to the policy service. What is read lies within the bytes, is the same
// however much follows, and a longer beginning of it is never less than a shorter one.
#include <cstdint>
#include <string>
#include <string_view>

#include "milter/policy_service/request.h"
#include "tests/fuzz/fuzz_input.h"

using fuzz::require;
using policy_service::kMostRequest;
using policy_service::parse_request;
using policy_service::Parsed;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Parsed parsed = parse_request(bytes);
  switch (parsed.outcome) {
    case Parsed::Outcome::More:
      require(size < kMostRequest);
      break;
    case Parsed::Outcome::Malformed:
      require(parsed.reason.starts_with("it "));
      break;
    case Parsed::Outcome::Complete: {
      require(parsed.size <= size && parsed.size <= kMostRequest);
      require(bytes.substr(parsed.size - 2, 2) == "\n\n");
      const auto own = bytes.substr(0, parsed.size);
      require(parse_request(own).request == parsed.request);
      require(parse_request(std::string(own) + "request=x").request == parsed.request);
      require(parse_request(own.substr(0, parsed.size - 1)).outcome == Parsed::Outcome::More);
      for (const auto& text : {parsed.request.sender, parsed.request.recipient, parsed.request.helo,
                               parsed.request.queue_id}) {
        require(text.find('\n') == text.npos && text.size() < kMostRequest);
      }
    }
  }
  return 0;
}
