// SHA-256, from nettle. The classifier needs it for the fingerprint of a ClientHello and gets it as
// an argument. Safe from any thread.
#pragma once

#include <array>
#include <string_view>

namespace seal {

std::array<unsigned char, 32> sha256(std::string_view text);

}  // namespace seal
