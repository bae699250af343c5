// Reads the client's SYN as TCP_SAVED_SYN gives it: IP header and TCP header, written by whoever
// sent it, so every length is checked. From it come the sequence number that places segments in the
// stream, the path's MSS, and a p0f-style signature that names the client's TCP stack.
// Pure; safe from any thread.
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
  net::Endpoint destination;  // whom the client called
  // version:ttl:olen:mss:window,scale:options:quirks:payload, in the words of p0f's raw_sig, but
  // with the received TTL where p0f guesses the initial one and the distance:
  // "4:63:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0". Whether there was payload (TCP Fast Open) the
  // IP header tells: what is kept of a SYN ends with its headers.
  std::string signature;
};

// nullopt: not an IPv4 or IPv6 TCP SYN, or cut short.
std::optional<Syn> parse_syn(std::span<const std::uint8_t> packet);

}  // namespace tcp
