// Every setting, with its default. load.h reads them from TOML; packaging/segmilter.toml shows them
// all with comments. A Config is built once and then shared as const by all threads; a reload makes
// a new one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "milter/config/milter_socket.h"
#include "milter/net/address.h"
#include "milter/seal/keys.h"

namespace config {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct General {
  std::string hostname;            // first word of the header; empty: the machine's name
  std::string user = "segmilter";  // whom the processes become when started as root
  std::string group;               // empty: the user's own
  bool seccomp = true;             // processes may make only the system calls that they need
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
  // Ports of this machine that the firewall sends to `listen` (nft tproxy), so that Postfix may
  // keep them and answers there when nobody listens; empty: clients connect to `listen` itself.
  static constexpr std::size_t kMostTproxyPorts = 8;
  std::vector<std::uint16_t> tproxy_ports;
  unsigned tproxy_mark = 0x736d;  // of the packets that are sent so
  // Postfix's smtpd: one that expects the PROXY protocol or, with Transparent, one on loopback that
  // expects nothing.
  std::optional<net::Endpoint> upstream;
  // How the client's address reaches Postfix. There is no "none": without it every client would
  // look like 127.0.0.1, which mynetworks permits: an open relay.
  // Transparent: the connection to Postfix comes from the client's own address (net/connect_as.h).
  enum class Protocol { ProxyV1, ProxyV2, Transparent };
  Protocol upstream_protocol = Protocol::ProxyV2;
  bool is_transparent() const { return upstream_protocol == Protocol::Transparent; }
  // Whose connections begin with a PROXY header of their own; from nobody else is one believed.
  std::vector<net::Network> balancers;
  bool balancer_transparent = false;  // they pass the client's segments on as they are
  seconds balancer_timeout{5};        // for the header
  unsigned workers = 0;               // threads; 0: one a core, at most 8
  unsigned max_sessions = 10000;
  unsigned max_sessions_per_address = 50;  // per IPv4 address or IPv6 /64
  unsigned max_sessions_per_network = 0;   // per IPv4 /24 or IPv6 /48; 0: half of max_sessions
  unsigned max_rate_per_address = 0;       // new sessions a minute of an address; 0: any number
  seconds connect_timeout{10};
  seconds idle_timeout{330};     // the client's silence; not below Postfix's smtpd_timeout, 300 s
  seconds answer_timeout{3600};  // silence while Postfix may owe an answer
  seconds drain_timeout{60};
  seconds drain_answer_timeout{300};  // for sessions in which the answer to a message is owed
  seconds longest_drain() const { return std::max(drain_timeout, drain_answer_timeout); }
  std::size_t buffer_bytes = 64 * 1024;  // per direction, used only when a side is slow
};

struct Capture {
  enum class Method { Auto, Kernel, Read, Off };
  Method method = Method::Auto;  // Auto: kernel, or read when the kernel filter cannot be had
  std::size_t ring_bytes = 1024 * 1024;  // per worker; a power of two of at least a page
  std::size_t max_segments = 4096;       // per message
  seconds max_session_time{3600};        // then new messages of the session are unobserved
};

// Observing a Postfix that keeps its port: without a proxy in the path.
struct Wire {
  static constexpr std::size_t kMostPorts = 8;
  std::vector<std::uint16_t> ports;  // Postfix's, in clear or under TLS; empty: no wire observer
  std::string interface;             // empty: all
  std::size_t max_sessions = 20000;  // followed at a time; beyond, the one silent longest goes
};

struct Evidence {
  std::string socket = "/run/segmilter/evidence.sock";
  unsigned socket_mode = 0660;
  seconds linger{60};                         // how long a closed session's evidence is kept
  std::size_t max_sessions = 20000;           // open and lingering; one more has none
  std::size_t max_bytes = 256 * 1024 * 1024;  // of what is kept of all sessions
};

struct Filter {
  MilterSocket socket{.path = "/var/spool/postfix/segmilter/milter.sock"};
  unsigned socket_mode = 0660;           // of a unix socket
  std::string socket_group = "postfix";  // of a unix socket; empty: left alone
  milliseconds evidence_timeout{200};
  seconds timeout{7200};         // a milter session without a word from Postfix: it says none
                                 // while a message is on its way
  bool count_body = true;        // where the observer did not read the text (TLS, wire): have the
                                 // body shown, to place the message to the byte
  unsigned max_in_flight = 500;  // messages being judged; beyond: unobserved, reason busy
};

struct Header {
  int index = 1;              // where it is inserted; 1: below Postfix's own Received
  std::size_t max_runs = 40;  // of the segments list; the rest is counted
};

struct Exempt {
  bool authenticated = true;
  bool loopback = true;
  std::vector<net::Network> networks;  // own networks and trusted relays
  // Outsiders by name, "example.org" or ".example.org": a client whose name Postfix has confirmed
  // forward (address to name and back to the address) ends in one. Headers of ours that they bring
  // are deleted, as anybody may send through them.
  std::vector<std::string> ptr_suffixes;
  std::vector<std::string> helo_suffixes;  // what it said in EHLO ends so, and its confirmed name
};

// The rest of [policy]: what lies between a threshold that was passed and an action.
struct Enforcement {
  enum class Mode { Monitor, Enforce };  // Monitor: nothing is done
  Mode mode = Mode::Monitor;
  enum class Fallback { None, Tempfail };
  // Roll-out: of the clients whose message asks for the action, the share that gets it.
  unsigned tempfail_percent = 100;
  unsigned quarantine_percent = 100;
  unsigned reject_percent = 100;
  std::string percent_key;                  // who is in the share; the same on all MX of a site
  Fallback on_unobserved = Fallback::None;  // there is no evidence of the message
  Fallback on_error = Fallback::None;       // it was not got, or judging failed
};

// Suspends rejects and deferrals when there are suddenly many of them.
struct Breaker {
  bool enabled = true;
  seconds window{300};
  unsigned min_messages = 100;  // in the window; with fewer no share is worth a name
  // Of one IPv4 address or IPv6 /48 so many count a window: else one sender could open it.
  unsigned max_per_address = 20;
  double max_share = 0.5;  // of the judged messages that may be rejected or deferred
  double jump = 5.0;       // times the long-term share; infinity: does not count
  seconds hold{600};       // how long they are suspended, at least
};

// Headers that another host of the site wrote: a backup MX signs, the primary believes.
struct Seal {
  std::string key_file;  // empty: no seals
  bool sign = false;
  std::vector<net::Network> believe_from;  // relays whose sealed headers stay
  seconds max_age{5 * 24 * 3600};          // as long as mail may lie in a queue
  std::vector<seal::Key> keys;             // of key_file; the first one signs; see parse()
};

// What is done otherwise than [policy] says for the mail of one listener: [listener.NAME].
struct Listener {
  static constexpr std::size_t kMost = 32;
  std::string name;        // Postfix's milter_macro_daemon_name, where no port is given
  std::uint16_t port = 0;  // that the client connected to; 0: told by the name
  std::optional<Enforcement::Mode> mode;
  std::optional<double> tempfail;
  std::optional<double> quarantine;
  std::optional<double> reject;
  classifier::Policy policy;  // [policy], and these over it; made by load.cc
  Enforcement enforcement;    // as `policy`
};

struct Reply {
  std::string tempfail = "4.7.1 Message deferred by local policy on how it was sent";
  std::string reject = "5.7.1 Message refused by local policy on how it was sent";
  std::string quarantine = "held by segmilter";
};

// What machines ask about the running program.
struct Desk {
  std::vector<net::Endpoint> listen;  // of the metrics' page (HTTP); empty: none
};

struct Gaits {
  std::vector<std::string> files;  // entries that stand in front of those compiled in
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
  Desk desk;
  Gaits gaits;                      // read by load.cc into policy.gaits
  classifier::Policy policy;        // [policy] and [weights]
  std::vector<Listener> listeners;  // in the file's order; the first that fits counts
};

}  // namespace config
