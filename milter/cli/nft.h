// `segmilter nft`: what a firewall needs to send a port to the proxy while Postfix keeps it.
//
// A connection that comes from another machine to one of our own addresses is given to the proxy's
// socket as it is: client and server keep their addresses. Where no such socket listens, nft's
// tproxy does not match, and Postfix's own port answers.
#pragma once

#include <string>

#include "milter/config/config.h"

namespace cli {

struct NftOptions {
  bool routing = false;  // not the rules, but the routing rule and table, for `sh -e`
  bool remove = false;   // what takes them away again
};

// For `nft -f -`: one table of our own, replaced as a whole, so that loading it twice is as once.
// Requires: proxy.tproxy_ports is set.
std::string nft_rules(const config::Proxy& proxy, bool remove);

// Lines for `sh -e`: packets with our mark stay here, whatever other rules say of their address; and
// with upstream_protocol "transparent" so does what a loopback address of this machine sends to a
// client. Empty where neither is in use.
std::string nft_routing(const config::Proxy& proxy, bool remove);

// Prints one of them. Throws SetupError (EX_CONFIG) where there is nothing to print, because
// proxy.tproxy_ports is not set.
int nft(const config::Config& config, const NftOptions& options);

}  // namespace cli
