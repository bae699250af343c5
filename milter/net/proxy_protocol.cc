#include "milter/net/proxy_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "text/number.h"

namespace net {
namespace {

//  0                   12  13  14      16
// +---------------------+---+---+-------+-------------------------------------------+
// | \r\n\r\n\0\r\nQUIT\n|cmd|fam| length| source addr, dest addr, source port, dest |
// +---------------------+---+---+-------+-------------------------------------------+
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr char kVersion2Local = 0x20;
constexpr char kVersion2Proxy = 0x21;
constexpr char kUnspecified = 0x00;
constexpr char kTcp4 = 0x11;
constexpr char kTcp6 = 0x21;

bool both_v4(const Endpoint& client, const Endpoint& server) {
  return client.is_v4() && server.is_v4();
}

void append_address(std::string& out, const Endpoint& endpoint, bool v4) {
  const auto& bytes = endpoint.bytes();
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  out.append(v4 ? data + 12 : data, v4 ? 4 : 16);
}

void append_port(std::string& out, std::uint16_t port) {
  out += static_cast<char>(port >> 8);
  out += static_cast<char>(port & 0xff);
}

using Outcome = ProxyHeader::Outcome;

ProxyHeader refused(std::string_view reason) {
  return {.outcome = Outcome::Refused, .reason = reason};
}

ProxyHeader unnamed(std::size_t size) {
  return {.outcome = Outcome::Complete, .size = size, .local = true};
}

// ---- version 1

// The specification writes ports without leading zeros.
std::optional<std::uint16_t> read_port(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return text::number<std::uint16_t>(text);
}

std::optional<Endpoint> read_end(std::string_view address, std::string_view port, bool v4) {
  // parse_address() also accepts Postfix's "IPv6:" prefix, which is wrong here. The address must be
  // of the announced family.
  const auto allowed = v4 ? "0123456789." : "0123456789abcdefABCDEF:.";
  if (address.find_first_not_of(allowed) != std::string_view::npos) return std::nullopt;
  if (!v4 && address.find(':') == std::string_view::npos) return std::nullopt;
  const auto number = read_port(port);
  if (!number) return std::nullopt;
  return Endpoint::parse_address(address, *number);
}

// Reads "PROXY TCP4 192.0.2.7 198.51.100.1 40112 25", without its line end.
ProxyHeader read_line(std::string_view line, std::size_t size) {
  std::array<std::string_view, 6> words;
  std::size_t count = 0;
  for (std::size_t at = 0; at <= line.size();) {
    const auto space = std::min(line.find(' ', at), line.size());
    if (count == words.size()) return refused("its line has too many words");
    words[count++] = line.substr(at, space - at);
    // The specification allows any text after UNKNOWN and says that receivers ignore it.
    if (count == 2 && words[1] == "UNKNOWN") return unnamed(size);
    at = space + 1;
  }
  const bool v4 = words[1] == "TCP4";
  if (!v4 && words[1] != "TCP6") return refused("its line does not name TCP4, TCP6 or UNKNOWN");
  const auto client = read_end(words[2], words[4], v4);
  const auto server = read_end(words[3], words[5], v4);
  if (!client || !server) return refused("its line has a malformed address or port");
  return {.outcome = Outcome::Complete, .size = size, .client = *client, .server = *server};
}

ProxyHeader read_v1(std::string_view bytes) {
  constexpr std::string_view kWord = "PROXY ";
  if (!kWord.starts_with(bytes.substr(0, kWord.size()))) return refused("it sent no PROXY header");
  const auto most = bytes.substr(0, kMostProxyV1);
  const auto cr = most.find_first_of("\r\n");
  if (cr == std::string_view::npos || cr + 1 == most.size()) {
    if (most.size() == kMostProxyV1) return refused("its line is longer than 107 bytes");
    if (cr == std::string_view::npos || most[cr] == '\r') return {};
  }
  if (most.substr(cr, 2) != "\r\n") return refused("its line does not end with CR LF");
  return read_line(most.substr(0, cr), cr + 2);
}

// ---- version 2

// The bytes before the addresses: signature, command, family, length.
constexpr std::size_t kFixed = 16;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// TLV: type (1 byte), length (2 bytes), value; section 2.2. TLVs are skipped, but they must fill
// the header exactly. Otherwise the balancer has counted wrongly, and part of its header is in the
// mail or part of the mail is in its header.
bool are_tlvs(std::string_view bytes) {
  constexpr std::size_t kHead = 3;
  while (!bytes.empty()) {
    if (bytes.size() < kHead) return false;
    const std::size_t size = kHead + number_at(bytes, 1);
    if (bytes.size() < size) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

// `block`: the bytes after the length field.
ProxyHeader read_addresses(std::string_view block, bool v4) {
  const std::size_t each = v4 ? 4 : 16;
  const std::size_t ports = 2 * each;
  if (block.size() < ports + 4) return refused("its addresses are cut short");
  if (!are_tlvs(block.substr(ports + 4))) return refused("a TLV in it is cut short");
  const auto end_at = [&](std::size_t address, std::size_t port) {
    std::array<std::uint8_t, 16> full{};
    if (v4) full[10] = full[11] = 0xff;
    std::memcpy(full.data() + (v4 ? 12 : 0), block.data() + address, each);
    return Endpoint::from_bytes(full, number_at(block, port));
  };
  return {.outcome = Outcome::Complete,
          .size = kFixed + block.size(),
          .client = end_at(0, ports),
          .server = end_at(each, ports + 2)};
}

ProxyHeader read_v2(std::string_view bytes) {
  if (!kSignature.starts_with(bytes.substr(0, kSignature.size()))) {
    return refused("it sent no PROXY header");
  }
  if (bytes.size() > 12 && (byte_at(bytes, 12) & 0xfe) != kVersion2Local) {
    return refused("its version is not 2 with LOCAL or PROXY");
  }
  if (bytes.size() < kFixed) return {};
  const std::size_t size = kFixed + number_at(bytes, 14);
  if (size > kMostProxyHeader) return refused("its header is longer than 4096 bytes");
  if (bytes.size() < size) return {};
  if (bytes[12] == kVersion2Local || bytes[13] == kUnspecified) return unnamed(size);
  if (bytes[13] != kTcp4 && bytes[13] != kTcp6) return refused("it announces no TCP connection");
  return read_addresses(bytes.substr(kFixed, size - kFixed), bytes[13] == kTcp4);
}

}  // namespace

std::string proxy_v1(const Endpoint& client, const Endpoint& server) {
  const bool v4 = both_v4(client, server);
  const auto address = [v4](const Endpoint& endpoint) {
    return (!v4 && endpoint.is_v4() ? "::ffff:" : "") + endpoint.print_address();
  };
  return fmt::format("PROXY {} {} {} {} {}\r\n", v4 ? "TCP4" : "TCP6", address(client),
                     address(server), client.port(), server.port());
}

std::string proxy_v2(const Endpoint& client, const Endpoint& server) {
  const bool v4 = both_v4(client, server);
  std::string out(kSignature);
  out += kVersion2Proxy;
  out += v4 ? kTcp4 : kTcp6;
  append_port(out, v4 ? 12 : 36);  // the length field is 16 bits in network order, like a port
  append_address(out, client, v4);
  append_address(out, server, v4);
  append_port(out, client.port());
  append_port(out, server.port());
  return out;
}

ProxyHeader read_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return {};
  return bytes.front() == kSignature.front() ? read_v2(bytes) : read_v1(bytes);
}

}  // namespace net
