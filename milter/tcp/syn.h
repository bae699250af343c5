// Reads the client's SYN as TCP_SAVED_SYN returns it: an IP header and a TCP header. The client
// wrote them, so every length is checked. The SYN gives the sequence number from which segments are
// placed in the stream, the client's MSS, and a p0f-style signature that identifies the client's
// TCP stack. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "milter/net/address.h"

namespace tcp {

struct Syn {
  std::uint32_t isn = 0;      // sequence number of the SYN; the first payload byte is isn + 1
  std::uint16_t mss = 0;      // announced; 0: not announced
  bool timestamps = false;    // offered
  net::Endpoint destination;  // the address that the client connected to
  // The fields are version:ttl:olen:mss:window,scale:options:quirks:payload, in the words of p0f's
  // raw_sig. One differs: `ttl` is the received TTL, while p0f guesses the initial TTL and the
  // distance. Example: "4:63:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0". The saved SYN ends with
  // its headers; whether it had payload (TCP Fast Open) follows from the length in the IP header.
  std::string signature;
};

// Returns nullopt if the packet is not an IPv4 or IPv6 TCP SYN, or is cut short.
std::optional<Syn> parse_syn(std::span<const std::uint8_t> packet);

}  // namespace tcp
