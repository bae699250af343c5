// HMAC-SHA-256 against the test vectors of RFC 4231.
#include "milter/seal/hmac.h"

#include <catch2/catch.hpp>
#include <string>

namespace {

std::string hex(const seal::Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const auto byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("the examples of RFC 4231 give their digests") {
  CHECK(hex(seal::hmac_sha256(std::string(20, '\x0b'), "Hi There")) ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hex(seal::hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hex(seal::hmac_sha256(std::string(131, '\xaa'),
                              "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("two digests are the same only if each byte is") {
  const auto one = seal::hmac_sha256("key", "text");
  auto other = one;
  CHECK(seal::same(one, other));
  other[31] ^= 1;
  CHECK_FALSE(seal::same(one, other));
}
