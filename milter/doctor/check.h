// The checks, and what they look at. A check is a function with one reason: it is given the
// Patient, and says what it found. To add one, write it, declare it here, and give it a row in
// doctor.cc.
//
// A Patient's values are taken once, before the first check; checks that only compare values are
// pure and are tested as such. Those that speak to somebody say so here. None changes anything,
// none sends a message, and each wait has a limit.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/doctor/finding.h"
#include "milter/doctor/postfix.h"
#include "milter/net/sockets.h"

namespace doctor {

struct Patient {
  config::Config config;
  std::string config_file;
  std::string postfix_config;      // postconf's -c; empty: its default
  std::optional<Postfix> postfix;  // empty: could not be read
  std::string postfix_error;       // why
  bool postfix_runs = true;        // by `postfix status`
  std::vector<net::TcpSocket> tcp;
  std::vector<net::Endpoint> addresses;  // the machine's own
  bool ipv6 = true;                      // it is not switched off
  bool root = false;

  // Lines that mend: "postconf -c DIR ARGUMENTS", "postfix -c DIR WORD".
  std::string postconf(const std::string& arguments) const;
  std::string postfix_command(const std::string& word) const;
};

using Findings = std::vector<Finding>;

struct Check {
  const char* name;
  const char* reason;
  Findings (*look)(const Patient&);
};

// --- values only
Findings check_configuration(const Patient&);   // what `segmilter check` warns of
Findings check_postconf(const Patient&);        // are Postfix's settings readable
Findings check_milters(const Patient&);         // smtpd_milters and what goes with it
Findings check_proxy_protocol(const Patient&);  // does Postfix expect to be told who the client is
Findings check_ports(const Patient&);           // who is to have port 25, by master.cf
Findings check_timeouts(const Patient&);        // who hangs up first, by smtpd's settings
Findings check_mynetworks(const Patient&);
Findings check_limits(const Patient&);

// --- of the machine
Findings check_listen(const Patient&);          // who listens where the clients come
Findings check_desk(const Patient&);            // and where the metrics are asked for
Findings check_upstream_scope(const Patient&);  // who can reach the port that believes everybody
Findings check_capture(const Patient&);         // tries to load the kernel filter
Findings check_boot(const Patient&);            // asks systemd whether it will be started again

Findings check_tproxy(const Patient&);       // asks nft for the rules
Findings check_transparent(const Patient&);  // asks ip for them, and greets the server on loopback

// --- speaks to the milter as Postfix's user, and asks the evidence socket as segmilter's
Findings check_milter_socket(const Patient&);
Findings check_evidence_socket(const Patient&);
Findings check_other_milters(const Patient&);  // those of smtpd_milters that are not ours

// --- speaks SMTP
Findings check_upstream(const Patient&);    // with and without a PROXY header
Findings check_same_port(const Patient&);   // do proxy and Postfix name the same client
Findings check_open_relay(const Patient&);  // RCPT to a stranger's domain; no DATA

// Parts of check_tproxy: what `nft list table inet segmilter` printed (empty: there is none); who
// has the ports while segmilter is away.
Finding judge_rules(const Patient& patient, std::string_view rules);
Findings check_own_port(const Patient& patient);

// Part of check_transparent: whether connections from clients' addresses come back, and, where they
// do not (`why_not`), what `ip rule show` and `ip route show table 29549` have printed.
struct Routing {
  bool v4 = true;
  std::string why_not;
  std::string rules;
  std::string routes;
};
Finding judge_routing(const Patient& patient, const Routing& routing);

// Part of check_boot: what `systemctl is-enabled segmilter` printed.
Finding judge_enabled(const Patient& patient, std::string_view state);

// Parts of check_other_milters. What becomes of mail while `milter` is gone, by its own option or
// main.cf's: "accept", "tempfail"…. Nobody answers there: what that costs, and the lines that have
// Postfix go on without it.
std::string action_without(const Postfix& postfix, const Service& smtpd, const MilterEntry& milter);
Finding judge_dead(const Patient& patient, const Service& smtpd, const MilterEntry& milter,
                   std::string_view why);

// Part of check_milters: what a content filter has to do with the smtpd that asks the milter.
void judge_filters(const Patient& patient, const Service& smtpd, Findings& findings);

// What they share.
Finding ok(std::string found);
Finding skip(std::string looked_at, std::string found);
Finding warn(std::string looked_at, std::string found, std::vector<std::string> mend = {},
             std::string setting = {});
Finding fail(std::string looked_at, std::string found, std::vector<std::string> mend = {},
             std::string setting = {});

// Clients come by the proxy.
bool has_proxy(const Patient& patient);
// And the proxy tells Postfix who they are by a PROXY header. A way that hides nothing from Postfix
// in the first place (upstream_protocol "transparent") needs none: it is excepted here, and with it
// from all that looks at the header.
bool uses_proxy_header(const Patient& patient);

// The services of master.cf that take the mail which segmilter sees: behind the proxy one, on the
// wire those on its ports.
std::vector<const Service*> mail_services(const Patient& patient);

// How Postfix spells filter.socket: relative to its queue directory where it lies below.
std::string postfix_spelling(const config::MilterSocket& socket,
                             const std::string& queue_directory);

// Whether an address of smtpd_milters means filter.socket. A relative path is below the queue
// directory, and so is an absolute one in a jail: both readings count.
bool same_socket(const std::string& address, const config::MilterSocket& socket,
                 const std::string& queue_directory);

// Where clients of the doctor connect: each address of proxy.listen (or port of the wire). A
// wildcard stands for one of the machine's own addresses, preferably one that is not in mynetworks,
// so that what a client may do there says what a stranger may.
std::vector<net::Endpoint> front_doors(const Patient& patient);

// From where a client of the doctor connects to `door`. Nothing: the kernel may choose. Where the
// proxy connects to Postfix from its clients' addresses, none may be on loopback: then it is one of
// the machine's other addresses, chosen as above, or, if there is none, an address that is no use.
std::optional<net::Endpoint> front_address(const Patient& patient, const net::Endpoint& door);

}  // namespace doctor
