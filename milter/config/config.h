// Every setting with its default. load.h reads them from TOML; packaging/segmilter.toml lists all
// of them with comments. A Config is built once and then shared by all threads as const. A reload
// builds a new one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/classify.h"
#include "milter/config/milter_socket.h"
#include "milter/config/policy_rule.h"
#include "milter/net/address.h"
#include "milter/seal/keys.h"

namespace config {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct General {
  std::string hostname;            // first word of the header; empty: the machine's name
  std::string user = "segmilter";  // the account that the processes take if started as root
  std::string group;               // empty: the primary group of `user`
  bool seccomp = true;             // each process may make only the system calls that it needs
};

struct Log {
  enum class Target { Stderr, Syslog };
  enum class Format { Text, Json };
  Target target = Target::Stderr;
  Format format = Format::Text;
  std::string level = "info";  // error, warning, info, debug
};

struct Proxy {
  std::vector<net::Endpoint> listen;  // empty: no proxy is started
  // Ports of this machine whose connections the firewall sends to `listen` (nft tproxy). Postfix
  // keeps these ports and answers there when no proxy listens. Empty: clients connect to `listen`
  // directly.
  static constexpr std::size_t kMostTproxyPorts = 8;  // chosen; mail has three usual ports
  std::vector<std::uint16_t> tproxy_ports;
  unsigned tproxy_mark = 0x736d;  // the mark of packets that the firewall sends to `listen`
  // The smtpd of Postfix: one that expects a PROXY header or, with Transparent, an ordinary one on
  // loopback.
  std::optional<net::Endpoint> upstream;
  // How Postfix learns the client's address: by a PROXY header of version 1 or 2, or because the
  // connection comes from that address (Transparent; net/connect_as.h). There is no value "none":
  // every client would then look like 127.0.0.1, which mynetworks permits, and Postfix would be an
  // open relay.
  enum class Protocol { ProxyV1, ProxyV2, Transparent };
  Protocol upstream_protocol = Protocol::ProxyV2;
  bool is_transparent() const { return upstream_protocol == Protocol::Transparent; }
  // Connections from these networks begin with a PROXY header. A PROXY header from any other
  // address is not trusted.
  std::vector<net::Network> balancers;
  bool balancer_transparent = false;  // balancers pass on the client's segments unchanged
  seconds balancer_timeout{5};        // time limit for the PROXY header
  unsigned workers = 0;               // threads; 0: one for each core, at most 8
  unsigned max_sessions = 10000;
  unsigned max_sessions_per_address = 50;  // per IPv4 address or IPv6 /64
  unsigned max_sessions_per_network = 0;   // per IPv4 /24 or IPv6 /48; 0: half of max_sessions
  unsigned max_rate_per_address = 0;       // new sessions of one address in a minute; 0: no limit
  seconds connect_timeout{10};
  seconds idle_timeout{330};     // silence of the client; not below Postfix's smtpd_timeout, 300 s
  seconds answer_timeout{3600};  // silence while Postfix may still send a reply
  seconds drain_timeout{60};
  seconds drain_answer_timeout{300};  // for sessions in which the reply to a message is outstanding
  seconds longest_drain() const { return std::max(drain_timeout, drain_answer_timeout); }
  std::size_t buffer_bytes = 64 * 1024;  // for each direction; used only while one side is slow
};

struct Capture {
  enum class Method { Auto, Kernel, Read, Off };
  Method method = Method::Auto;          // Auto: kernel; read if the kernel filter cannot be loaded
  std::size_t ring_bytes = 1024 * 1024;  // for each worker; a power of two, at least a page
  std::size_t max_segments = 4096;       // for each message
  seconds max_session_time{3600};        // after that, new messages of the session are unobserved
};

// Observes a Postfix that keeps its own port. No proxy is in the path.
struct Wire {
  static constexpr std::size_t kMostPorts = 8;  // see WireTap::kMostPorts
  std::vector<std::uint16_t> ports;  // Postfix's, with or without TLS; empty: no wire observer
  std::string interface;             // empty: all interfaces
  std::size_t max_sessions = 20000;  // at a time; one more evicts the longest silent session
};

struct Evidence {
  std::string socket = "/run/segmilter/evidence.sock";
  unsigned socket_mode = 0660;
  seconds linger{60};                // how long a closed session's evidence is kept
  std::size_t max_sessions = 20000;  // open and lingering ones; a further session has no evidence
  std::size_t max_bytes = 256 * 1024 * 1024;  // limit for the evidence of all sessions together
};

struct Filter {
  MilterSocket socket{.path = "/var/spool/postfix/segmilter/milter.sock"};
  unsigned socket_mode = 0660;           // of a unix socket
  std::string socket_group = "postfix";  // of a unix socket; empty: not changed
  milliseconds evidence_timeout{200};
  seconds timeout{7200};         // silence of Postfix in a milter session; Postfix is also silent
                                 // while a message is on its way
  bool count_body = true;        // ask Postfix for the body if the observer did not read the text
                                 // (TLS, wire), so that the message can be placed to the byte
  unsigned max_in_flight = 500;  // messages judged at a time; others are unobserved, reason busy
};

struct Header {
  int index = 1;              // where the header is inserted; 1: below Postfix's own Received
  std::size_t max_runs = 40;  // entries in the list of segments; further segments are only counted
};

struct Exempt {
  bool authenticated = true;
  bool loopback = true;
  std::vector<net::Network> networks;  // own networks and trusted relays
  // Trusted outsiders by name, "example.org" or ".example.org". A client is exempt if its confirmed
  // name ends in one of these. Postfix confirms a name by looking up the address and then the name.
  // Headers of our name from such a client are deleted, because anyone may send mail through it.
  std::vector<std::string> ptr_suffixes;
  // Both the EHLO name and the confirmed name must end in one of these.
  std::vector<std::string> helo_suffixes;
};

// The rest of [policy]: what may replace or prevent an action after a threshold is reached.
struct Enforcement {
  enum class Mode { Monitor, Enforce };  // Monitor: no action is taken
  Mode mode = Mode::Monitor;
  enum class Fallback { None, Tempfail };
  // Roll-out: the share of clients for which the action is taken when the score asks for it.
  unsigned tempfail_percent = 100;
  unsigned quarantine_percent = 100;
  unsigned reject_percent = 100;
  std::string percent_key;  // selects the clients of the share; the same on all MX of a site
  Fallback on_unobserved = Fallback::None;  // when there is no evidence of the message
  Fallback on_error = Fallback::None;       // when asking for the evidence or judging failed
};

// Suspends rejections and deferrals when there are suddenly many of them.
struct Breaker {
  bool enabled = true;
  seconds window{300};
  unsigned min_messages = 100;  // in the window; a share of fewer messages means little
  // At most this many messages of one IPv4 address or IPv6 /48 count in a window. Otherwise one
  // sender could open the breaker.
  unsigned max_per_address = 20;
  double max_share = 0.5;  // share of the judged messages that may be rejected or deferred
  double jump = 5.0;       // multiple of the long-term share; infinity: not checked
  seconds hold{600};       // minimum duration of the suspension
};

// The seal: a backup MX signs its headers, and the primary trusts them.
struct Seal {
  std::string key_file;  // empty: no seals
  bool sign = false;
  std::vector<net::Network> believe_from;  // relays whose sealed headers are kept
  seconds max_age{5 * 24 * 3600};          // the longest time that mail may stay in a queue
  std::vector<seal::Key> keys;             // from key_file; the first one signs; see parse()
};

// [listener.NAME]: settings that replace those of [policy] for the mail of one listener.
struct Listener {
  static constexpr std::size_t kMost = 32;  // chosen; each message is compared with all of them
  std::string name;        // Postfix's milter_macro_daemon_name, if no port is given
  std::uint16_t port = 0;  // port that the client connected to; 0: the name identifies the listener
  std::optional<Enforcement::Mode> mode;
  std::optional<double> tempfail;
  std::optional<double> quarantine;
  std::optional<double> reject;
  classifier::Policy policy;  // [policy] with the values above; filled in by load.cc
  Enforcement enforcement;    // likewise
};

struct Reply {
  std::string tempfail = "4.7.1 Message deferred by local policy on how it was sent";
  std::string reject = "5.7.1 Message refused by local policy on how it was sent";
  std::string quarantine = "held by segmilter";
};

// Postfix's policy delegation protocol, served by the filter (policy_service/).
struct PolicyService {
  // Mode and group of a unix socket are those of filter.socket. Empty: there is no service.
  std::optional<MilterSocket> socket;
  unsigned max_connections = 500;  // one for each smtpd of Postfix that has asked
  // Silence after which a connection is closed. It is above Postfix's
  // smtpd_policy_service_max_idle, 300 s, so that Postfix closes first.
  seconds idle_timeout{1000};
  // Greylisting: the same network, sender and recipient may pass from this time after the first
  // attempt, until that time after it, and then for as long as it comes again.
  seconds greylist_after{300};
  seconds greylist_until{24 * 3600};
  seconds greylist_keep{35 * 24 * 3600};
  std::vector<PolicyRule> rules;  // in the order of the file
};

// The desk serves pages for people, and metrics, over HTTP. Without an address and a socket there
// is no desk.
struct Desk {
  std::vector<net::Endpoint> listen;
  std::string socket;  // a unix socket beside the addresses; empty: none
  unsigned socket_mode = 0660;
  // Names by which clients may call the desk, besides its addresses and "localhost".
  std::vector<std::string> hosts;
  bool open = false;  // `listen` may have addresses that other machines reach

  bool wanted() const { return !listen.empty() || !socket.empty(); }
};

// What is remembered of judged messages, and for how long.
struct Memory {
  bool enabled = true;
  std::string folder = "/var/lib/segmilter";
  unsigned max_days = 14;                           // today is one of them
  std::uint64_t max_bytes = 2ULL << 30;             // of all files
  std::uint64_t min_free = 1ULL << 30;              // that the disk keeps for others
  enum class Addresses { Full, Truncated, Keyed };  // see memory/address_form.h
  Addresses addresses = Addresses::Full;
  std::string key_file;  // with Keyed; read by the memory process (seal/keys.h)
};

// What was learnt of clients and networks, as a term of the score. It needs [memory].
struct Reputation {
  bool enabled = true;
  double most = 2.5;    // limits of the term: the most that a bad reputation adds,
  double least = -1.5;  // and the most that a good one takes away
  // CSV files and, by the ending .mmdb, databases that know the systems of networks; see
  // reputation/networks.h. The first that knows a fact decides.
  std::vector<std::string> networks;
};

struct Gaits {
  std::vector<std::string> files;  // files whose entries come before the compiled-in ones
};

struct Config {
  General general;
  Log log;
  Proxy proxy;
  Capture capture;
  Wire wire;
  Evidence evidence;
  Filter filter;
  Header header;
  Exempt exempt;
  Reply reply;
  Enforcement enforcement;
  Breaker breaker;
  Seal seal;
  Memory memory;
  PolicyService policy_service;
  Reputation reputation;
  Desk desk;
  Gaits gaits;                      // load.cc reads these files into policy.gaits
  classifier::Policy policy;        // [policy] and [weights]
  std::vector<Listener> listeners;  // in the order of the file; the first that matches is used
};

// The section [listener.NAME] for mail that came to this daemon (milter_macro_daemon_name) and port
// of ours (0: not known). Null: [policy] applies.
inline const Listener* listener_for(const Config& config, std::string_view daemon,
                                    std::uint16_t port) {
  for (const Listener& listener : config.listeners) {
    if (listener.port != 0 ? listener.port == port : listener.name == daemon) return &listener;
  }
  return nullptr;
}

}  // namespace config
