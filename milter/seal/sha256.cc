#include "milter/seal/sha256.h"

#include <nettle/sha2.h>

#include <cstdint>

namespace seal {

std::array<unsigned char, 32> sha256(std::string_view text) {
  sha256_ctx context;
  std::array<unsigned char, 32> digest{};
  static_assert(digest.size() == SHA256_DIGEST_SIZE);
  sha256_init(&context);
  sha256_update(&context, text.size(), reinterpret_cast<const std::uint8_t*>(text.data()));
  sha256_digest(&context, digest.size(), digest.data());
  return digest;
}

}  // namespace seal
