// What the proxy counts. Its threads write, any process may read.
#pragma once

#include "milter/evidence/counters.h"
#include "milter/process/metrics.h"

namespace proxy {

struct Counters {
  process::Count sessions{0};
  process::Count accepted{0};
  process::Count refused_full{0};
  process::Count refused_address{0};
  process::Count refused_network{0};
  process::Count refused_rate{0};
  process::Count proxy_headers_refused{0};
  process::Count upstream_failed{0};
  // Way `transparent`: clients that were told 421, because no connection from their address could
  // be made; by what failed.
  process::Count transparent_no_socket{0};
  process::Count transparent_no_client{0};
  process::Count transparent_not_bound{0};
  process::Count transparent_not_sent{0};
  process::Count other_port{0};
  process::Count unanswered{0};
  process::Count accept_errors{0};
  process::Count drained{0};
  process::Count messages{0};  // traces published
  process::Count partial{0};
  process::Count lost{0};
  process::Count ring_full{0};
  // Sessions that are relayed without an observer, or lost it later, by the resource that was
  // short.
  process::Count overload_descriptors{0};
  process::Count overload_time{0};
  process::Count overload_memory{0};
  evidence::Counters evidence;

  std::uint64_t transparent_failures() const {
    return transparent_no_socket.load() + transparent_no_client.load() +
           transparent_not_bound.load() + transparent_not_sent.load();
  }
  std::uint64_t overload() const {
    return overload_descriptors.load() + overload_time.load() + overload_memory.load();
  }
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  process::Families families = {
      family("proxy_sessions", counts.sessions, "Sessions of the proxy that are open."),
      family("proxy_connections_total", counts.accepted, "Connections of clients to the proxy."),
      {"proxy_refused_total",
       "Clients that got 421, by the limit they met.",
       "limit",
       {{&counts.refused_full, "max_sessions"},
        {&counts.refused_address, "max_sessions_per_address"},
        {&counts.refused_network, "max_sessions_per_network"},
        {&counts.refused_rate, "max_rate_per_address"}}},
      family("proxy_headers_refused_total", counts.proxy_headers_refused,
             "Connections of balancers that were closed because they sent no valid PROXY header."),
      family("proxy_upstream_failures_total", counts.upstream_failed,
             "Clients that got 421 because Postfix did not answer."),
      {"proxy_transparent_failures_total",
       "Clients that got 421 because no connection to Postfix could be made from their address.",
       "what",
       {{&counts.transparent_no_socket, "no_socket"},
        {&counts.transparent_no_client, "client_address"},
        {&counts.transparent_not_bound, "bind"},
        {&counts.transparent_not_sent, "connect"}}},
      family("proxy_other_port_total", counts.other_port,
             "Sessions that Postfix sees from a port of the client's address that is not the "
             "client's own."),
      family("proxy_unanswered_total", counts.unanswered,
             "Sessions closed because Postfix said nothing for proxy.answer_timeout."),
      family("proxy_accept_errors_total", counts.accept_errors,
             "Failures to accept, for lack of descriptors or memory."),
      family("proxy_drained_total", counts.drained,
             "Sessions ended between two transactions, for a restart."),
      family("proxy_traces_total", counts.messages,
             "Messages seen; messages under TLS are not counted here."),
      family("proxy_traces_partial_total", counts.partial,
             "Messages that were not seen from beginning to end."),
      family("proxy_sessions_lost_total", counts.lost,
             "Sessions that could not be followed to their end."),
      family("proxy_ring_full_total", counts.ring_full,
             "Segments that found the ring full (capture.ring_bytes)."),
      {"proxy_overload_total",
       "Sessions relayed without being observed, by what was short.",
       "short_of",
       {{&counts.overload_descriptors, "descriptors"},
        {&counts.overload_time, "time"},
        {&counts.overload_memory, "memory"}}},
  };
  append(families, describe(counts.evidence));
  return families;
}

}  // namespace proxy
