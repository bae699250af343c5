#include "classifier/client_hello.h"

#include <fmt/format.h>

#include <algorithm>

#include "classifier/tls_cursor.h"

namespace classifier {
namespace {

constexpr std::uint16_t kServerName = 0x0000;
constexpr std::uint16_t kSignatures = 0x000d;
constexpr std::uint16_t kProtocols = 0x0010;
constexpr std::uint16_t kVersions = 0x002b;

// RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa.
bool is_grease(std::uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

std::vector<std::uint16_t> read_list(TlsCursor in) {
  std::vector<std::uint16_t> list;
  while (in.left() >= 2) {
    const auto value = static_cast<std::uint16_t>(in.number(2));
    if (!is_grease(value)) list.push_back(value);
  }
  return list;
}

void read_extension(std::uint16_t type, TlsCursor in, ClientHello& hello) {
  switch (type) {
    case kServerName:
      hello.server_name = true;
      break;
    case kSignatures:
      hello.signatures = read_list(in.part(in.number(2)));
      break;
    case kProtocols: {
      TlsCursor list = in.part(in.number(2));
      hello.protocol = list.text(list.number(1));
      break;
    }
    case kVersions: {
      const auto offered = read_list(in.part(in.number(1)));
      const auto highest = std::max_element(offered.begin(), offered.end());
      if (highest != offered.end()) hello.version = *highest;
      break;
    }
    default:
      break;
  }
}

std::string_view version_name(std::uint16_t version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    default:
      return "00";
  }
}

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string protocol_name(std::string_view protocol) {
  if (protocol.empty()) return "00";
  const char first = protocol.front();
  const char last = protocol.back();
  if (is_alnum(first) && is_alnum(last)) return {first, last};
  // A character that is not a letter or digit is replaced by the outer digits of its hex form.
  return {fmt::format("{:02x}", static_cast<unsigned char>(first)).front(),
          fmt::format("{:02x}", static_cast<unsigned char>(last)).back()};
}

std::string joined(const std::vector<std::uint16_t>& values) {
  std::string text;
  for (const std::uint16_t value : values) {
    text += fmt::format("{}{:04x}", text.empty() ? "" : ",", value);
  }
  return text;
}

std::string digest(const std::string& text, Sha256 sha256) {
  if (text.empty()) return "000000000000";
  const auto hash = sha256(text);
  std::string hex;
  for (int i = 0; i < 6; ++i) hex += fmt::format("{:02x}", hash[i]);
  return hex;
}

}  // namespace

std::optional<ClientHello> read_client_hello(std::span<const char> message) {
  constexpr std::uint32_t kClientHello = 1;
  constexpr std::size_t kRandom = 32;
  TlsCursor in(message);
  if (in.number(1) != kClientHello) return std::nullopt;
  in = in.part(in.number(3));
  ClientHello hello;
  hello.version = static_cast<std::uint16_t>(in.number(2));
  in.skip(kRandom);
  in.skip(in.number(1));  // session id
  hello.ciphers = read_list(in.part(in.number(2)));
  in.skip(in.number(1));  // compression
  if (!in.good()) return std::nullopt;
  if (in.left() == 0) return hello;
  TlsCursor extensions = in.part(in.number(2));
  while (extensions.good() && extensions.left() > 0) {
    const auto type = static_cast<std::uint16_t>(extensions.number(2));
    const TlsCursor body = extensions.part(extensions.number(2));
    if (!extensions.good()) return std::nullopt;
    if (is_grease(type)) continue;
    hello.extensions.push_back(type);
    read_extension(type, body, hello);
  }
  if (!in.good()) return std::nullopt;
  return hello;
}

std::string ja4(const ClientHello& hello, Sha256 sha256) {
  constexpr std::size_t kMost = 99;
  std::vector<std::uint16_t> ciphers = hello.ciphers;
  std::sort(ciphers.begin(), ciphers.end());
  std::vector<std::uint16_t> extensions = hello.extensions;
  std::erase_if(extensions,
                [](std::uint16_t type) { return type == kServerName || type == kProtocols; });
  std::sort(extensions.begin(), extensions.end());
  std::string rest = joined(extensions);
  if (!rest.empty() && !hello.signatures.empty()) rest += "_" + joined(hello.signatures);
  return fmt::format("t{}{}{:02}{:02}{}_{}_{}", version_name(hello.version),
                     hello.server_name ? 'd' : 'i', std::min(hello.ciphers.size(), kMost),
                     std::min(hello.extensions.size(), kMost), protocol_name(hello.protocol),
                     digest(joined(ciphers), sha256), digest(rest, sha256));
}

}  // namespace classifier
