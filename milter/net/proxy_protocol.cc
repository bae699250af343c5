#include "milter/net/proxy_protocol.h"

#include <fmt/format.h>

#include <string_view>

namespace net {
namespace {

//  0                   12  13  14      16
// +---------------------+---+---+-------+-------------------------------------------+
// | \r\n\r\n\0\r\nQUIT\n|cmd|fam| length| source addr, dest addr, source port, dest |
// +---------------------+---+---+-------+-------------------------------------------+
constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr char kVersion2Proxy = 0x21;
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
  append_port(out, v4 ? 12 : 36);  // the length field has the port's form: 16 bits, network order
  append_address(out, client, v4);
  append_address(out, server, v4);
  append_port(out, client.port());
  append_port(out, server.port());
  return out;
}

}  // namespace net
