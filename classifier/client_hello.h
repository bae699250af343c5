// What a ClientHello says of the TLS library that wrote it: a JA4 string.
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
// By FoxIO's description of JA4 (its TLS client part is BSD-licensed; the others, which are not,
// are not used). GREASE values (RFC 8701) do not count. The library and its settings show, not the
// program: OpenSSL's default is shared by many. Pure; safe from any thread.
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
  std::uint16_t version = 0;  // the highest that is offered
  bool server_name = false;
  std::vector<std::uint16_t> ciphers;     // as they stand, GREASE left out
  std::vector<std::uint16_t> extensions;  // likewise
  std::vector<std::uint16_t> signatures;  // likewise
  std::string protocol;                   // the first of ALPN's
};

// Of a handshake message with its 4-byte header. Nothing for what is cut or is no ClientHello: a
// print of a part would be another library's.
std::optional<ClientHello> read_client_hello(std::span<const char> message);

// SHA-256; the library has none of its own, so who wants prints brings it.
using Sha256 = std::array<unsigned char, 32> (*)(std::string_view);

std::string ja4(const ClientHello& hello, Sha256 sha256);
inline constexpr std::size_t kJa4Size = 36;

}  // namespace classifier
