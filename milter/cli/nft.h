// `segmilter nft`: prints the firewall rules and the routing that send a port to the proxy while
// Postfix still listens on it.
//
// A connection from another machine to one of this machine's addresses is given to the proxy's
// socket unchanged: client and server keep their addresses. If no such socket listens, nft's tproxy
// does not match, and Postfix's own port answers.
#pragma once

#include <string>

#include "milter/config/config.h"

namespace cli {

struct NftOptions {
  bool routing = false;  // print the routing rule and table for `sh -e`, not the firewall's rules
  bool remove = false;   // print what removes them
};

// The rules for `nft -f -`. They are one table of segmilter's that is replaced completely, so that
// it can be loaded repeatedly. Requires: proxy.tproxy_ports is set.
std::string nft_rules(const config::Proxy& proxy, bool remove);

// The lines for `sh -e`. They deliver packets with proxy.tproxy_mark on this machine, whatever
// other routing rules say about their addresses. With upstream_protocol "transparent" they do the
// same for packets from a loopback address to a client. Empty if neither is used.
std::string nft_routing(const config::Proxy& proxy, bool remove);

// Prints the rules or the lines. Throws SetupError (EX_CONFIG) if there is nothing to print, because
// proxy.tproxy_ports is not set.
int nft(const config::Config& config, const NftOptions& options);

}  // namespace cli
