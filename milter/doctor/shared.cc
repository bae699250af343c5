// Functions that several checks need.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "milter/doctor/check.h"
#include "text/number.h"

namespace doctor {
namespace {

bool takes_mail(const Service& service) {
  return service.command == "smtpd" || service.command == "postscreen";
}

bool is_any(const net::Endpoint& endpoint) {
  return endpoint.bytes() == net::Endpoint{}.bytes() || endpoint.print_address() == "0.0.0.0";
}

net::Endpoint at(const net::Endpoint& address, std::uint16_t port) {
  return net::Endpoint::from_bytes(address.bytes(), port);
}

// Replaces a wildcard with one of this machine's addresses of its family: preferably one that is
// not in mynetworks, else any of them, else loopback. Other addresses are returned unchanged.
net::Endpoint choose(const Patient& patient, const net::Endpoint& listen) {
  if (!is_any(listen)) return listen;
  const auto own = parse_networks(patient.postfix ? patient.postfix->value("mynetworks") : "");
  std::optional<net::Endpoint> best;
  for (const auto& address : patient.addresses) {
    if (address.is_v4() != listen.is_v4()) continue;
    if (!net::contains(own.networks, address)) return at(address, listen.port());
    if (!best) best = at(address, listen.port());
  }
  const auto loopback =
      *net::Endpoint::parse_address(listen.is_v4() ? "127.0.0.1" : "::1", listen.port());
  return best.value_or(loopback);
}

}  // namespace

std::string Patient::postconf(const std::string& arguments) const {
  if (postfix_config.empty()) return "postconf " + arguments;
  return fmt::format("postconf -c {} {}", shell_word(postfix_config), arguments);
}

std::string Patient::postfix_command(const std::string& word) const {
  if (postfix_config.empty()) return "postfix " + word;
  return fmt::format("postfix -c {} {}", shell_word(postfix_config), word);
}

Finding ok(std::string found) {
  return {.check = {},
          .state = State::Ok,
          .looked_at = {},
          .found = std::move(found),
          .mend = {},
          .setting = {}};
}

Finding skip(std::string looked_at, std::string found) {
  return {.check = {},
          .state = State::Skip,
          .looked_at = std::move(looked_at),
          .found = std::move(found),
          .mend = {},
          .setting = {}};
}

Finding warn(std::string looked_at, std::string found, std::vector<std::string> mend,
             std::string setting) {
  return {
      {}, State::Warn, std::move(looked_at), std::move(found), std::move(mend), std::move(setting)};
}

Finding fail(std::string looked_at, std::string found, std::vector<std::string> mend,
             std::string setting) {
  return {
      {}, State::Fail, std::move(looked_at), std::move(found), std::move(mend), std::move(setting)};
}

bool has_proxy(const Patient& patient) {
  return !patient.config.proxy.listen.empty() && patient.config.proxy.upstream.has_value();
}

bool uses_proxy_header(const Patient& patient) {
  return has_proxy(patient) && !patient.config.proxy.is_transparent();
}

std::optional<Finding> cannot_be_postfix(const Patient& patient, const std::string& looked) {
  if (!patient.root) {
    return skip(looked,
                "only root can test whether Postfix's user may connect (run the doctor as root)");
  }
  if (!patient.postfix) {
    return skip(looked, "Postfix's settings cannot be read, so its user is not known");
  }
  return std::nullopt;
}

std::vector<const Service*> mail_services(const Patient& patient) {
  std::vector<const Service*> found;
  if (!patient.postfix) return found;
  if (has_proxy(patient)) {
    const Service* service = patient.postfix->service_at(*patient.config.proxy.upstream);
    if (service != nullptr && takes_mail(*service)) found.push_back(service);
    return found;
  }
  const auto& ports = patient.config.wire.ports;
  for (const auto& service : patient.postfix->services()) {
    const auto address = parse_service_name(service.name);
    const bool watched = service.type == "inet" && address &&
                         std::find(ports.begin(), ports.end(), address->port) != ports.end();
    if (watched && takes_mail(service)) found.push_back(&service);
  }
  return found;
}

std::string postfix_spelling(const config::MilterSocket& socket,
                             const std::string& queue_directory) {
  if (socket.is_unix()) {
    const std::string below = queue_directory + "/";
    const bool is_below = socket.path.starts_with(below);
    return "unix:" + (is_below ? socket.path.substr(below.size()) : socket.path);
  }
  const bool v6 = socket.host.find(':') != std::string::npos;
  return fmt::format("inet:{}:{}", v6 ? "[" + socket.host + "]" : socket.host, socket.port);
}

bool same_socket(const std::string& address, const config::MilterSocket& socket,
                 const std::string& queue) {
  const auto colon = address.find(':');
  if (colon == address.npos) return false;
  const auto kind = address.substr(0, colon);
  const auto rest = address.substr(colon + 1);
  if (kind == "inet") {
    // One host can have many names, so only the ports are compared.
    const auto port = rest.rfind(':');
    return !socket.is_unix() && port != rest.npos &&
           text::number<std::uint16_t>(rest.substr(port + 1)) == socket.port;
  }
  if ((kind != "unix" && kind != "local") || rest.empty()) return false;
  const auto is_path = [&](const std::string& candidate) {
    return std::filesystem::path(candidate).lexically_normal() == socket.path;
  };
  return rest[0] == '/' ? is_path(rest) || is_path(queue + rest) : is_path(queue + "/" + rest);
}

std::vector<net::Endpoint> front_doors(const Patient& patient) {
  const auto& config = patient.config;
  std::vector<net::Endpoint> doors;
  const auto add = [&](const net::Endpoint& door) {
    if (!door.is_v4() && !patient.ipv6) return;
    if (std::find(doors.begin(), doors.end(), door) == doors.end()) doors.push_back(door);
  };
  for (const auto& listen : config.proxy.listen) add(choose(patient, listen));
  if (!config.proxy.listen.empty()) return doors;
  for (const auto port : config.wire.ports) {
    add(choose(patient, *net::Endpoint::parse_address("0.0.0.0", port)));
  }
  return doors;
}

std::optional<net::Endpoint> front_address(const Patient& patient, const net::Endpoint& door) {
  if (!patient.config.proxy.is_transparent() || !door.is_loopback()) return std::nullopt;
  const auto any = *net::Endpoint::parse_address(door.is_v4() ? "0.0.0.0" : "::", 0);
  return choose(patient, any);
}

}  // namespace doctor
