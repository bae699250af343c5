// Makes a ClientHello from lists of numbers, as RFC 8446, 4.1.2 defines it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace support {

inline std::string number(std::size_t value, int size) {
  std::string text;
  for (int i = size; i-- > 0;) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}
inline std::string vector_of(const std::string& body, int length_size) {
  return number(body.size(), length_size) + body;
}
inline std::string numbers(const std::vector<std::uint16_t>& values) {
  std::string text;
  for (const auto value : values) text += number(value, 2);
  return text;
}

using Extensions = std::vector<std::pair<std::uint16_t, std::string>>;

inline std::string client_hello(const std::vector<std::uint16_t>& ciphers,
                                const Extensions& extensions) {
  std::string body = number(0x0303, 2) + std::string(32, 'r') + vector_of(std::string(32, 's'), 1) +
                     vector_of(numbers(ciphers), 2) + vector_of(std::string(1, '\0'), 1);
  std::string all;
  for (const auto& [type, content] : extensions) all += number(type, 2) + vector_of(content, 2);
  body += vector_of(all, 2);
  return "\x01" + vector_of(body, 3);
}

// The browser's hello that JA4's description uses as its example. Its fingerprint is
// t13d1516h2_8daaf6152771_e5627efa2ab1.
inline std::string published_hello() {
  const std::vector<std::uint16_t> ciphers = {0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                              0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
                                              0x009c, 0x009d, 0x002f, 0x0035};
  const std::vector<std::uint16_t> signatures = {0x0403, 0x0804, 0x0401, 0x0503,
                                                 0x0805, 0x0501, 0x0806, 0x0601};
  Extensions extensions = {{0x3a3a, ""}};
  for (const int type : {0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                         0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015}) {
    extensions.push_back({static_cast<std::uint16_t>(type), ""});
  }
  for (auto& [type, content] : extensions) {
    if (type == 0x0010) content = vector_of(vector_of("h2", 1) + vector_of("http/1.1", 1), 2);
    if (type == 0x000d) content = vector_of(numbers(signatures), 2);
    if (type == 0x002b) content = vector_of(numbers({0x7a7a, 0x0304, 0x0303}), 1);
  }
  return client_hello(ciphers, extensions);
}

}  // namespace support
