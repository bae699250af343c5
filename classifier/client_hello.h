// What a ClientHello shows of the TLS library that wrote it: a JA4 fingerprint.
//
//     t13d1516h2_8daaf6152771_e5627efa2ab1
//     │ │ │ │ │  └ 12 hex digits of SHA-256 over the cipher suites, sorted
//     │ │ │ │ │               └ the same over the extensions, sorted, and the signature algorithms
//     │ │ │ │ └ first and last character of the first ALPN value; 00: none
//     │ │ │ └ 15 cipher suites, 16 extensions
//     │ │ └ d: a server name was given; i: none
//     │ └ TLS 1.3
//     └ over TCP
//
// The rules are those of FoxIO's description of JA4. Its TLS client part is BSD-licensed; the other
// parts are not, and are not used. GREASE values (RFC 8701) do not count. The fingerprint shows the
// library and its settings, not the program: many programs use OpenSSL's defaults. Pure; safe from
// any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace classifier {

struct ClientHello {
  std::uint16_t version = 0;  // the highest version that is offered
  bool server_name = false;
  std::vector<std::uint16_t> ciphers;     // in the order of the message, without GREASE
  std::vector<std::uint16_t> extensions;  // likewise
  std::vector<std::uint16_t> signatures;  // likewise
  std::string protocol;                   // the first protocol of ALPN
};

// Requires: `message` is a handshake message with its 4-byte header. Returns nothing if it is cut
// or is not a ClientHello. The fingerprint of a part would be that of another library.
std::optional<ClientHello> read_client_hello(std::span<const char> message);

// SHA-256. This library has no implementation, so a caller that wants fingerprints passes one.
using Sha256 = std::array<unsigned char, 32> (*)(std::string_view);

std::string ja4(const ClientHello& hello, Sha256 sha256);
inline constexpr std::size_t kJa4Size = 36;

}  // namespace classifier
