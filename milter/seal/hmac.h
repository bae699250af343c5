// HMAC with SHA-256 (RFC 2104), and digests compared so that the time tells nothing: nettle's. Safe
// from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace seal {

using Digest = std::array<std::uint8_t, 32>;

Digest hmac_sha256(std::string_view key, std::string_view text);

bool same(const Digest& a, const Digest& b);

}  // namespace seal
