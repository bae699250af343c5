// The control bits of a TCP header (RFC 9293, 3.1), as they lie in their byte.
#pragma once

#include <cstdint>

namespace tcp {

constexpr std::uint8_t kFin = 0x01;
constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kPsh = 0x08;
constexpr std::uint8_t kAck = 0x10;
constexpr std::uint8_t kUrg = 0x20;

}  // namespace tcp
