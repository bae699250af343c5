// Seals in headers from any sender: a seal that we did not make is not believed, and our own seal
// of the same header is. The first byte says how many bytes of the rest are the value; the others
// are a field of the message.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "milter/seal/identity.h"
#include "milter/seal/seal.h"

namespace {

const seal::Key kKey{"k", std::string(32, '\x5a')};
constexpr seal::Seconds kNow{1764108000};
constexpr seal::Seconds kAge{86400};

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto value = all.substr(0, all.size() - all.size() * data[0] / 512);
  seal::Identity identity;
  identity.field("Subject", all.substr(value.size()));
  require(seal::check(value, identity.digest(), {kKey}, kNow, kAge) != seal::Result::Good);

  seal::Result reason = seal::Result::None;
  const auto sealed = seal::parse(value, reason);
  if (!sealed) {
    require(reason == seal::Result::Unsigned || reason == seal::Result::Malformed);
    return 0;
  }
  // A new seal is good for this message, and not for another one.
  const auto item = seal::make(sealed->header, identity.digest(), kKey, kNow);
  const auto good = sealed->header + "; " + item;
  if (good.size() > seal::kMostValue) return 0;
  require(seal::check(good, identity.digest(), {kKey}, kNow, kAge) == seal::Result::Good);
  identity.field("Subject", "one more");
  require(seal::check(good, identity.digest(), {kKey}, kNow, kAge) == seal::Result::Wrong);
  return 0;
}
