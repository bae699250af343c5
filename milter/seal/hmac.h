// HMAC with SHA-256 (RFC 2104), and a comparison of digests in constant time, so that its duration
// reveals nothing about the digest. Both come from nettle. Safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace seal {

using Digest = std::array<std::uint8_t, 32>;

Digest hmac_sha256(std::string_view key, std::string_view text);

bool same(const Digest& a, const Digest& b);

}  // namespace seal
