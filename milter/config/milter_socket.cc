#include "milter/config/milter_socket.h"

#include <fmt/format.h>

#include <algorithm>

#include "milter/net/unix_socket.h"
#include "text/ascii.h"
#include "text/number.h"

namespace config {
namespace {

using Parsed = std::variant<MilterSocket, std::string>;

// An IPv6 address may be written in brackets; libmilter accepts them too.
std::string_view without_brackets(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) return host.substr(1, host.size() - 2);
  return host;
}

// Suggests libmilter's spelling for the two spellings that administrators often use instead:
// Postfix's, and a bare path. Empty if `text` is neither.
std::string suggestion(std::string_view text) {
  if (text.starts_with('/')) return fmt::format("unix:{}", text);
  const auto inet = text.find(':');
  const auto colon = text.rfind(':');
  if (!text.starts_with("inet") || colon == inet || text.find('@') != std::string_view::npos) {
    return "";
  }
  const auto host = without_brackets(text.substr(inet + 1, colon - inet - 1));
  const auto family = host.find(':') != std::string_view::npos ? "inet6" : "inet";
  return fmt::format("{}:{}@{}", family, text.substr(colon + 1), host);
}

Parsed parse_inet(MilterSocket::Kind kind, std::string_view rest) {
  const auto at = rest.find('@');
  const auto digits = rest.substr(0, at);
  const auto port = text::number<std::uint16_t>(digits);
  if (!port || *port == 0) return fmt::format("\"{}\" is not a port from 1 to 65535", digits);
  if (at == std::string_view::npos || at + 1 == rest.size()) {
    return fmt::format(
        "without @ADDRESS the filter would listen on every address of this machine; name one, such "
        "as inet:{}@127.0.0.1",
        *port);
  }
  const auto host = without_brackets(rest.substr(at + 1));
  if (host.empty() || !std::all_of(host.begin(), host.end(), text::is_visible)) {
    return fmt::format("\"{}\" is not an address", host);
  }
  return MilterSocket{.kind = kind, .path = "", .host = std::string(host), .port = *port};
}

}  // namespace

std::string check_socket_path(std::string_view path) {
  if (!path.starts_with('/') || path.ends_with('/') || !text::is_printable(path)) {
    return fmt::format("\"{}\" is not the absolute path of a socket", path);
  }
  if (path.size() <= net::kLongestUnixPath) return "";
  return fmt::format("the path has {} bytes, and a socket's path may have at most {}", path.size(),
                     net::kLongestUnixPath);
}

std::string check_socket_path_or_empty(std::string_view path) {
  return path.empty() ? "" : check_socket_path(path);
}

Parsed parse_milter_socket(std::string_view text) {
  if (const auto better = suggestion(text); !better.empty()) {
    return fmt::format("libmilter does not accept \"{}\"; write \"{}\"", text, better);
  }
  const auto colon = text.find(':');
  const auto family = text.substr(0, colon);
  const auto rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (family == "inet") return parse_inet(MilterSocket::Kind::Inet, rest);
  if (family == "inet6") return parse_inet(MilterSocket::Kind::Inet6, rest);
  if (family != "unix") {
    return fmt::format("\"{}\" is not unix:PATH, inet:PORT@ADDRESS or inet6:PORT@ADDRESS", text);
  }
  if (auto reason = check_socket_path(rest); !reason.empty()) return reason;
  return MilterSocket{.path = std::string(rest)};
}

std::string MilterSocket::print() const {
  if (is_unix()) return "unix:" + path;
  return fmt::format("{}:{}@{}", kind == Kind::Inet ? "inet" : "inet6", port, host);
}

std::optional<net::Endpoint> MilterSocket::address() const {
  if (is_unix()) return std::nullopt;
  if (host == "localhost") {
    return net::Endpoint::parse_address(kind == Kind::Inet6 ? "::1" : "127.0.0.1", port);
  }
  return net::Endpoint::parse_address(host, port);
}

}  // namespace config
