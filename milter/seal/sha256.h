// SHA-256 for the print of a ClientHello, which the classifier does not have itself: nettle's. Safe
// from any thread.
#pragma once

#include <array>
#include <string_view>

namespace seal {

std::array<unsigned char, 32> sha256(std::string_view text);

}  // namespace seal
