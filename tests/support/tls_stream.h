// Both directions of a TLS session as an observer without the key sees them: the record headers are
// real, their content is filler. For the tests of the record reader, the session and the assembly.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace support {

inline std::string tls_record(std::uint8_t type, std::string_view fragment) {
  std::string record;
  record += static_cast<char>(type);
  record += "\x03\x03";
  record += static_cast<char>(fragment.size() >> 8);
  record += static_cast<char>(fragment.size() & 0xff);
  record += fragment;
  return record;
}
inline std::string tls_record(std::uint8_t type, std::size_t length) {
  // Like encrypted data, it has bytes of all values.
  std::string fragment;
  for (std::size_t i = 0; i < length; ++i) fragment += static_cast<char>(0xa5 + 37 * i);
  return tls_record(type, fragment);
}

inline constexpr std::uint8_t kChangeCipherSpec = 20;
inline constexpr std::uint8_t kAlert = 21;
inline constexpr std::uint8_t kHandshake = 22;
inline constexpr std::uint8_t kData = 23;

// A ServerHello, RFC 8446, 4.1.3. `tls13`: with the extension that selects TLS 1.3.
inline std::string server_hello(std::uint16_t cipher, bool tls13) {
  std::string body = "\x03\x03";
  body += std::string(32, 'r');
  body += '\0';  // empty session id
  body += static_cast<char>(cipher >> 8);
  body += static_cast<char>(cipher & 0xff);
  body += '\0';
  using namespace std::string_literals;
  std::string extensions = "\xff\x01\x00\x01\x00"s;  // renegotiation_info, empty
  if (tls13) extensions += "\x00\x2b\x00\x02\x03\x04"s;
  body += '\0';
  body += static_cast<char>(extensions.size());
  body += extensions;
  std::string message = "\x02";
  message += '\0';
  message += '\0';
  message += static_cast<char>(body.size());
  return message + body;
}

// TLS 1.3 with AES-256-GCM: a record has 17 bytes more than its plaintext, in addition to
// `padding`.
struct Tls13 {
  std::size_t padding = 0;

  std::string client_hello() const {
    return tls_record(kHandshake, "\x01" + std::string(250, 'c'));
  }
  std::string server_flight() const {
    return tls_record(kHandshake, server_hello(0x1302, true)) + tls_record(kChangeCipherSpec, 1) +
           tls_record(kData, 23) + tls_record(kData, 857) + tls_record(kData, 69);
  }
  std::string client_finished() const {
    return tls_record(kChangeCipherSpec, 1) + tls_record(kData, 4 + 48 + 17 + padding);
  }
  std::string plain(std::size_t size) const { return tls_record(kData, size + 17 + padding); }
  std::string plain(std::initializer_list<std::size_t> sizes) const {
    std::string bytes;
    for (const std::size_t size : sizes) bytes += plain(size);
    return bytes;
  }
};

// TLS 1.2. `finished` and `overhead` depend on the cipher: 40 and 24 with GCM.
struct Tls12 {
  std::size_t finished = 40;

  std::string client_hello() const {
    return tls_record(kHandshake, "\x01" + std::string(250, 'c'));
  }
  std::string server_flight() const {
    return tls_record(kHandshake, server_hello(0xc030, false) + std::string(900, 'm'));
  }
  std::string client_finished() const {
    return tls_record(kHandshake, 37) + tls_record(kChangeCipherSpec, 1) +
           tls_record(kHandshake, finished);
  }
  std::string server_finished() const {
    return tls_record(kChangeCipherSpec, 1) + tls_record(kHandshake, finished);
  }
};

}  // namespace support
