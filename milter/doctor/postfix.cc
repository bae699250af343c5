#include "milter/doctor/postfix.h"

#include <netdb.h>

#include "text/lines.h"
#include "text/number.h"

namespace doctor {
namespace {

using text::take_line;
using text::trimmed;

// Splits "name = value". The name is empty if the line has no "=".
std::pair<std::string_view, std::string_view> split_setting(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == line.npos) return {};
  return {trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1))};
}

// Splits at each of `separators` that is not inside braces: "a, { b, c }" is "a" and "{ b, c }".
std::vector<std::string_view> split_list(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> items;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    const bool end = at == text.size();
    if (!end && text[at] == '{') ++depth;
    if (!end && text[at] == '}') --depth;
    if (!end && (depth > 0 || separators.find(text[at]) == separators.npos)) continue;
    const auto item = trimmed(text.substr(begin, at - begin));
    if (!item.empty()) items.push_back(item);
    begin = at + 1;
  }
  return items;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  if (const auto port = text::number<std::uint16_t>(text)) return port;
  const std::string name(text);
  const servent* known = getservbyname(name.c_str(), "tcp");
  if (known == nullptr) return std::nullopt;
  return ntohs(static_cast<std::uint16_t>(known->s_port));
}

// The columns of master.cf: service type private unpriv chroot wakeup maxproc command …
std::optional<Service> read_service(std::string_view line) {
  constexpr std::size_t kColumns = 8;
  const auto words = split_list(line, text::kBlanks);
  if (words.size() < kColumns) return std::nullopt;
  Service service;
  service.name = words[0];
  service.type = words[1];
  service.chroot = words[4];
  service.maxproc = words[6];
  service.command = words[7];
  return service;
}

// Reads "NAME/TYPE/PARAMETER = VALUE". The name may contain slashes (services of type unix do); the
// type and the parameter do not.
void read_override(std::string_view line, std::vector<Service>& services) {
  const auto [path, value] = split_setting(line);
  const auto last = path.rfind('/');
  if (last == path.npos) return;
  const auto key = path.substr(0, last);
  for (auto& service : services) {
    if (service.key() == key) {
      service.overrides.insert_or_assign(std::string(path.substr(last + 1)), std::string(value));
    }
  }
}

bool takes(const ServiceAddress& service, const net::Endpoint& address) {
  if (service.port != address.port()) return false;
  if (service.host.empty()) return true;  // inet_interfaces may restrict this; it is not evaluated
  if (service.host == "localhost") return address.is_loopback();
  const auto host = net::Endpoint::parse_address(service.host, address.port());
  if (!host) return false;
  const bool any = host->bytes() == net::Endpoint{}.bytes() || host->print_address() == "0.0.0.0";
  return any || *host == address;
}

}  // namespace

std::optional<ServiceAddress> parse_service_name(std::string_view name) {
  ServiceAddress address;
  const auto colon = name.rfind(':');
  if (colon != name.npos) {
    auto host = name.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    address.host = host;
    name.remove_prefix(colon + 1);
  }
  const auto port = read_port(name);
  if (!port) return std::nullopt;
  address.port = *port;
  return address;
}

std::optional<std::chrono::seconds> parse_time(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  std::int64_t unit = 1;
  switch (text.back()) {
    case 'w':
      unit = 7 * 24 * 3600;
      break;
    case 'd':
      unit = 24 * 3600;
      break;
    case 'h':
      unit = 3600;
      break;
    case 'm':
      unit = 60;
      break;
  }
  if (unit != 1 || text.back() == 's') text.remove_suffix(1);
  const auto number = text::number<std::uint32_t>(text);
  if (!number) return std::nullopt;
  return std::chrono::seconds(*number * unit);
}

// Postfix writes an IPv6 network in brackets: "[::1]/128".
NetworkList parse_networks(std::string_view text) {
  NetworkList list;
  for (const auto item : split_list(text, " \t\r\n,")) {
    if (item.starts_with('!')) {
      list.exclusions = true;
      continue;
    }
    std::string plain;
    std::copy_if(item.begin(), item.end(), std::back_inserter(plain),
                 [](char c) { return c != '[' && c != ']'; });
    if (const auto network = net::Network::parse(plain)) {
      list.networks.push_back(*network);
    } else {
      ++list.tables;
    }
  }
  return list;
}

std::vector<MilterEntry> parse_milters(std::string_view text) {
  std::vector<MilterEntry> milters;
  for (const auto item : split_list(text, " \t\r\n,")) {
    MilterEntry milter;
    milter.text = item;
    auto inner = item;
    if (inner.starts_with('{')) {
      inner.remove_prefix(1);
      if (inner.ends_with('}')) inner.remove_suffix(1);
    }
    for (const auto part : split_list(inner, " \t\r\n,")) {
      // Postfix allows no spaces around an option's equals sign.
      const auto equals = part.find('=');
      if (milter.address.empty() && equals == part.npos) {
        milter.address = part;
      } else if (equals != part.npos) {
        milter.options.insert_or_assign(std::string(part.substr(0, equals)),
                                        std::string(part.substr(equals + 1)));
      }
    }
    milters.push_back(std::move(milter));
  }
  return milters;
}

Postfix Postfix::parse(std::string_view main, std::string_view services,
                       std::string_view overrides) {
  Postfix postfix;
  while (!main.empty()) {
    const auto [name, value] = split_setting(take_line(main));
    if (!name.empty()) postfix.main_.insert_or_assign(std::string(name), std::string(value));
  }
  while (!services.empty()) {
    auto service = read_service(take_line(services));
    if (service) postfix.services_.push_back(std::move(*service));
  }
  while (!overrides.empty()) read_override(take_line(overrides), postfix.services_);
  return postfix;
}

std::string_view Postfix::value(std::string_view name) const {
  const auto found = main_.find(name);
  return found != main_.end() ? std::string_view(found->second) : std::string_view{};
}

std::string_view Postfix::value(const Service& service, std::string_view name) const {
  const auto found = service.overrides.find(name);
  return found != service.overrides.end() ? std::string_view(found->second) : value(name);
}

const Service* Postfix::service_at(const net::Endpoint& address) const {
  for (const auto& service : services_) {
    if (service.type != "inet") continue;
    const auto place = parse_service_name(service.name);
    if (place && takes(*place, address)) return &service;
  }
  return nullptr;
}

const Service* Postfix::service(std::string_view name, std::string_view type) const {
  for (const auto& service : services_) {
    if (service.name == name && service.type == type) return &service;
  }
  return nullptr;
}

const Service* Postfix::smtpd_behind(const Service& entry) const {
  if (entry.command != "postscreen") return &entry;
  const auto name = value(entry, "smtpd_service_name");
  return service(name.empty() ? "smtpd" : name, "pass");
}

bool Postfix::chrooted(const Service& service) const {
  if (service.chroot != "-") return service.chroot == "y";
  // The default is "y" below compatibility level 1 (Postfix's COMPATIBILITY_README).
  const auto level = value("compatibility_level");
  return level.empty() || level == "0";
}

}  // namespace doctor
