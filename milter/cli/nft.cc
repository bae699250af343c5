#include "milter/cli/nft.h"

#include <fmt/format.h>
#include <sysexits.h>

#include "milter/net/connect_as.h"
#include "milter/process/setup_error.h"

namespace cli {
namespace {

// The rule is looked up before the main table (32766) and after rules that an administrator gave a
// small number.
constexpr unsigned kRulePriority = 29549;

std::string rule(const net::Endpoint& listen, const config::Proxy& proxy) {
  const auto* family = listen.is_v4() ? "ip" : "ip6";
  return fmt::format(
      "    meta nfproto {} tcp dport {{ {} }} tproxy {} to {} meta mark set {:#x} accept\n",
      listen.is_v4() ? "ipv4" : "ipv6", fmt::join(proxy.tproxy_ports, ", "), family, listen.print(),
      proxy.tproxy_mark);
}

}  // namespace

std::string nft_rules(const config::Proxy& proxy, bool remove) {
  // The first line creates the table if it does not exist, so that deleting it never fails.
  std::string text = "table inet segmilter\ndelete table inet segmilter\n";
  if (remove) return text;
  text +=
      "table inet segmilter {\n"
      "  chain to_proxy {\n"
      "    type filter hook prerouting priority mangle; policy accept;\n"
      "    # Mail of this machine itself, and mail for others that is only routed here.\n"
      "    iif \"lo\" return\n"
      "    fib daddr type != local return\n"
      "    # Where the proxy does not listen these do not match, and Postfix answers.\n";
  for (const auto& listen : proxy.listen) text += rule(listen, proxy);
  return text + "  }\n}\n";
}

std::string nft_routing(const config::Proxy& proxy, bool remove) {
  std::string text;
  for (const bool v4 : {true, false}) {
    if (!net::has_family(proxy.listen, v4)) continue;
    const auto* family = v4 ? "-4" : "-6";
    // A rule that is there already is no failure: it is set anew.
    const auto add_rule = [&](const std::string& selects) {
      const auto rule =
          fmt::format("{} lookup {} priority {}", selects, net::kRoutingTable, kRulePriority);
      text +=
          fmt::format("ip {} rule del {}{}\n", family, rule, remove ? "" : " 2>/dev/null || true");
      if (!remove) text += fmt::format("ip {} rule add {}\n", family, rule);
    };
    if (!proxy.tproxy_ports.empty()) add_rule(fmt::format("fwmark {:#x}", proxy.tproxy_mark));
    // What this machine itself sends from a loopback address: Postfix's answers to the clients.
    if (proxy.is_transparent()) {
      add_rule(fmt::format("from {} iif lo", v4 ? "127.0.0.0/8" : "::1/128"));
    }
    text += fmt::format("ip {} route {} local {} dev lo table {}\n", family,
                        remove ? "del" : "replace", v4 ? "0.0.0.0/0" : "::/0", net::kRoutingTable);
  }
  return text;
}

int nft(const config::Config& config, const NftOptions& options) {
  // The way `transparent` needs a routing rule even if no firewall rule is used.
  const bool routing_only = options.routing && config.proxy.is_transparent();
  if (config.proxy.tproxy_ports.empty() && !routing_only) {
    throw process::SetupError(
        EX_CONFIG,
        "proxy.tproxy_ports: the list is empty, so the firewall has no port to send to the proxy; "
        "set it, for example to [25]");
  }
  fmt::print("{}", options.routing ? nft_routing(config.proxy, options.remove)
                                   : nft_rules(config.proxy, options.remove));
  return EX_OK;
}

}  // namespace cli
