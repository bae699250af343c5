#include "milter/capture/sha256.h"

#include <sha2.h>

namespace capture {

std::array<unsigned char, 32> sha256(std::string_view text) {
  SHA2_CTX context;
  std::array<unsigned char, 32> digest{};
  static_assert(digest.size() == SHA256_DIGEST_LENGTH);
  SHA256Init(&context);
  SHA256Update(&context, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  SHA256Final(digest.data(), &context);
  return digest;
}

}  // namespace capture
