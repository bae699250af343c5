#include "milter/seal/hmac.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>

namespace seal {
namespace {

const std::uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

}  // namespace

Digest hmac_sha256(std::string_view key, std::string_view text) {
  hmac_sha256_ctx context;
  Digest digest{};
  static_assert(digest.size() == SHA256_DIGEST_SIZE);
  hmac_sha256_set_key(&context, key.size(), bytes(key));
  hmac_sha256_update(&context, text.size(), bytes(text));
  hmac_sha256_digest(&context, digest.size(), digest.data());
  return digest;
}

bool same(const Digest& a, const Digest& b) {
  return memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace seal
