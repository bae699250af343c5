#include "milter/desk/guard.h"

#include <algorithm>

#include "milter/net/address.h"
#include "text/ascii.h"
#include "text/number.h"

namespace desk {
namespace {

// "Mail.Example.ORG" and "mail.example.org.", "[::1]" and "0:0::1" become the same.
std::string plain(std::string_view name) {
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  if (const auto address = net::Endpoint::parse_address(name, 0)) return address->print_address();
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), text::lower);
  return lower;
}

// Takes ":9125" from the end. False: what follows the colon is no port.
bool take_port(std::string_view& host) {
  const auto colon = host.rfind(':');
  if (colon == host.npos || host.ends_with(']')) return true;
  const auto port = host.substr(colon + 1);
  host = host.substr(0, colon);
  return text::number<std::uint16_t>(port).has_value();
}

}  // namespace

Guard::Guard(const config::Desk& config) : names_{"localhost", "127.0.0.1", "::1"} {
  for (const auto& listen : config.listen) names_.push_back(listen.print_address());
  for (const auto& host : config.hosts) names_.push_back(plain(host));
}

bool Guard::accepts_host(std::string_view host) const {
  if (!take_port(host) || host.empty()) return false;
  return std::find(names_.begin(), names_.end(), plain(host)) != names_.end();
}

bool comes_from_another_site(std::string_view site) {
  return text::same(site, "cross-site");
}

}  // namespace desk
