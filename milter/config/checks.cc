#include "milter/config/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "milter/config/load.h"
#include "milter/config/settings.h"
#include "milter/net/connect_as.h"

namespace config {
namespace {

bool is_wildcard(const net::Endpoint& endpoint) {
  const auto text = endpoint.print_address();
  return text == "0.0.0.0" || text == "::";
}

// True if a connection to `upstream` would come back to `listen`. A wildcard also receives
// connections to loopback addresses. The other addresses of this machine are not checked here.
bool is_loop(const net::Endpoint& listen, const net::Endpoint& upstream) {
  if (listen == upstream) return true;
  return listen.port() == upstream.port() && is_wildcard(listen) && upstream.is_loopback();
}

void check_proxy(const Source& source, const Proxy& proxy) {
  if (proxy.upstream && is_wildcard(*proxy.upstream)) {
    fail(source, "proxy.upstream",
         "this stands for every address; name the one at which Postfix's smtpd listens");
  }
  for (const auto& network : proxy.balancers) {
    if (!network.print().ends_with("/0")) continue;
    fail(source, "proxy.balancers",
         fmt::format("\"{}\" covers every address: each client could pretend to be any other, even "
                     "one that may relay; name only your load balancers",
                     network.print()));
  }
  if (proxy.listen.empty()) return;
  if (!proxy.upstream) {
    fail(source, "proxy.listen",
         "proxy.upstream is not set: name Postfix's smtpd that expects the PROXY protocol, such as "
         "upstream = \"127.0.0.1:10025\"");
  }
  for (const auto& listen : proxy.listen) {
    const auto upstream = proxy.is_transparent() ? net::loopback_of(*proxy.upstream, listen.is_v4())
                                                 : *proxy.upstream;
    if (!is_loop(listen, upstream)) continue;
    fail(
        source, "proxy.upstream",
        fmt::format("\"{}\" is what proxy.listen \"{}\" listens on: the proxy would talk to itself",
                    upstream.print(), listen.print()));
  }
}

// Only over loopback does Postfix's answer, which goes to the client's address, come back here: by
// a routing rule for what leaves a loopback address.
void check_transparent(const Source& source, const Proxy& proxy) {
  if (!proxy.is_transparent() || !proxy.upstream || proxy.upstream->is_loopback()) return;
  fail(source, "proxy.upstream",
       fmt::format("\"{}\" is not on loopback, which proxy.upstream_protocol = \"transparent\" "
                   "requires: Postfix would answer to the client and not to the proxy; use "
                   "upstream = \"127.0.0.1:{}\"",
                   proxy.upstream->print(), proxy.upstream->port()));
}

// The firewall needs one destination for each address family, and Postfix keeps the ports
// themselves.
void check_tproxy(const Source& source, const Proxy& proxy) {
  if (proxy.tproxy_ports.empty()) return;
  if (proxy.listen.empty()) {
    fail(source, "proxy.tproxy_ports",
         "proxy.listen is not set: name the address to which the firewall sends these ports, such "
         "as listen = [\"127.0.0.1:10024\", \"[::1]:10024\"]");
  }
  std::size_t of_family[2] = {};
  for (const auto& listen : proxy.listen) {
    const auto& ports = proxy.tproxy_ports;
    if (std::find(ports.begin(), ports.end(), listen.port()) != ports.end()) {
      fail(source, "proxy.listen",
           fmt::format("\"{}\" has a port of proxy.tproxy_ports, on which Postfix listens; use "
                       "another port, such as \"127.0.0.1:10024\"",
                       listen.print()));
    }
    if (++of_family[listen.is_v4() ? 0 : 1] > 1) {
      fail(source, "proxy.listen",
           fmt::format(
               "\"{}\": with proxy.tproxy_ports only one IPv4 and one IPv6 address are permitted",
               listen.print()));
    }
  }
}

// The proxy and the wire observer would both answer on the evidence socket.
void check_wire(const Source& source, const Config& config) {
  if (config.wire.ports.empty() || config.proxy.listen.empty()) return;
  fail(source, "wire.ports",
       "proxy.listen is set too, but only one of the two can answer on evidence.socket; the proxy "
       "already observes the mail, so remove wire.ports");
}

// `section`: the section of the thresholds, "policy" or "listener.NAME".
void check_thresholds(const Source& source, const std::string& section,
                      const classifier::Policy& policy) {
  struct Step {
    std::string key;
    double threshold;
  };
  const Step steps[] = {{section + ".tempfail", policy.tempfail},
                        {section + ".quarantine", policy.quarantine},
                        {section + ".reject", policy.reject}};
  // Names the origin of a threshold that is not set in this section.
  const auto whence = [&](const std::string& key, const std::string& name) {
    if (source.lines.contains(key)) return "";
    return source.lines.contains("policy." + name) ? ", of [policy]" : ", the default";
  };
  const Step* below = nullptr;
  for (const Step& step : steps) {
    if (std::isinf(step.threshold)) continue;  // off: has no place in the order
    if (below != nullptr && step.threshold < below->threshold) {
      const auto name = below->key.substr(below->key.rfind('.') + 1);
      fail(source, step.key,
           fmt::format(
               "{} is below {} ({}{}): a more severe action needs a higher score; turn the other "
               "action off ({} = \"off\"), or give it a lower score",
               step.threshold, below->key, below->threshold, whence(below->key, name), name));
    }
    below = &step;
  }
}

void check_sockets(const Source& source, const Config& config) {
  if (config.filter.socket.path == config.evidence.socket) {
    fail(source, "filter.socket", "evidence.socket has the same path; each socket needs its own");
  }
  for (const auto& path : {config.filter.socket.path, config.evidence.socket}) {
    if (config.desk.socket.empty() || config.desk.socket != path) continue;
    fail(source, "desk.socket", "another socket has the same path; each socket needs its own");
  }
}

void check_policy_service(const Source& source, const Config& config) {
  const PolicyService& service = config.policy_service;
  const std::string socket = fmt::format("{}.socket", kPolicyService);
  if (service.socket) {
    const bool same = service.socket->is_unix() ? service.socket->path == config.filter.socket.path
                                                : service.socket == config.filter.socket;
    if (same) fail(source, socket, "filter.socket is the same; each protocol needs its own");
    if (service.socket->is_unix() && service.socket->path == config.evidence.socket) {
      fail(source, socket, "evidence.socket has the same path; each socket needs its own");
    }
  } else if (!service.rules.empty()) {
    fail(source, fmt::format("{}.{}[1]", kPolicyService, kRule),
         fmt::format("{} is not set, so Postfix cannot ask; set socket = "
                     "\"unix:/var/spool/postfix/segmilter/policy.sock\" there",
                     socket));
  }
  if (service.greylist_until <= service.greylist_after) {
    fail(source, fmt::format("{}.greylist_until", kPolicyService),
         fmt::format("{}s is not after greylist_after ({}s): no attempt could pass",
                     service.greylist_until.count(), service.greylist_after.count()));
  }
}

void check_seal(const Source& source, const Seal& seal) {
  if (!seal.key_file.empty()) return;
  if (seal.sign) {
    fail(source, "seal.sign", "seal.key_file is not set: there is no key to sign with");
  }
  if (!seal.believe_from.empty()) {
    fail(source, "seal.believe_from",
         "seal.key_file is not set: there is no key to check seals with");
  }
}

void check_memory(const Source& source, const Memory& memory) {
  if (memory.addresses != Memory::Addresses::Keyed || !memory.key_file.empty()) return;
  fail(source, "memory.addresses", "memory.key_file is not set: there is no key for \"keyed\"");
}

void check_desk(const Source& source, const Desk& desk) {
  for (const auto& listen : desk.listen) {
    if (desk.open || listen.is_loopback()) continue;
    fail(source, "desk.listen",
         fmt::format("other machines can reach {}, and the desk asks for no password: use "
                     "127.0.0.1 with an SSH tunnel, or desk.socket behind a web server that asks "
                     "for one; or set open = true",
                     listen.print()));
  }
}

}  // namespace

void check_between(const Source& source, const Config& config) {
  check_proxy(source, config.proxy);
  check_transparent(source, config.proxy);
  check_tproxy(source, config.proxy);
  check_wire(source, config);
  check_thresholds(source, "policy", config.policy);
  check_sockets(source, config);
  check_policy_service(source, config);
  check_seal(source, config.seal);
  check_memory(source, config.memory);
  check_desk(source, config.desk);
  for (const Listener& listener : config.listeners) {
    check_thresholds(source, fmt::format("{}.{}", kListener, listener.name), listener.policy);
  }
}

std::vector<std::string> warnings(const Config& config) {
  std::vector<std::string> lines;
  if (config.proxy.idle_timeout < seconds(300)) {
    lines.push_back(fmt::format(
        "proxy.idle_timeout: {}s is below Postfix's smtpd_timeout (300s): slow clients will lose "
        "their connection",
        config.proxy.idle_timeout.count()));
  }
  if (config.proxy.answer_timeout < seconds(600)) {
    lines.push_back(fmt::format(
        "proxy.answer_timeout: {}s is below the 600s that a server may take for its reply to a "
        "message (RFC 5321): a client that loses its connection then sends the message again",
        config.proxy.answer_timeout.count()));
  }
  if (config.general.user == "root") {
    lines.emplace_back("general.user: \"root\": the processes keep all rights of root");
  }
  if (!config.proxy.listen.empty() && config.evidence.max_sessions < config.proxy.max_sessions) {
    lines.emplace_back(
        "evidence.max_sessions: this is below proxy.max_sessions: at busy times some mail will be "
        "unobserved");
  }
  if (!config.wire.ports.empty() && config.evidence.max_sessions < config.wire.max_sessions) {
    lines.emplace_back(
        "evidence.max_sessions: this is below wire.max_sessions: at busy times some mail will be "
        "unobserved");
  }
  for (const auto& listen : config.desk.listen) {
    if (listen.is_loopback()) continue;
    lines.push_back(fmt::format(
        "desk.open: each host that can reach {} may read the pages, which show addresses of "
        "clients, and the metrics",
        listen.print()));
  }
  return lines;
}

bool observes(const Config& config) {
  return !config.proxy.listen.empty() || !config.wire.ports.empty();
}

std::string why_unobserved(const Config& config) {
  if (!observes(config)) {
    return "proxy.listen and wire.ports: both are empty: nothing is observed, and every message is "
           "labelled unobserved; set wire.ports = [25] to watch Postfix's own port, or set "
           "proxy.listen and proxy.upstream (examples/postfix has an example for each)";
  }
  if (!config.proxy.listen.empty() && config.capture.method == Capture::Method::Off) {
    return "capture.method: \"off\": nothing is observed, and every message is labelled "
           "unobserved; "
           "set method = \"auto\"";
  }
  return "";
}

}  // namespace config
