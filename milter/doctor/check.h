// The doctor's checks, and the Patient that they examine. A check is a function that answers one
// question: it takes the Patient and returns its findings. To add a check, write the function,
// declare it here, and give it a row in doctor.cc.
//
// A Patient's values are read once, before the first check. Checks that only compare these values
// are pure, and the unit tests call them directly. The declarations below say which checks open
// connections or run programs. No check changes anything or sends a message, and each wait has a
// limit. One thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/doctor/finding.h"
#include "milter/doctor/postfix.h"
#include "milter/memory/retention.h"
#include "milter/net/sockets.h"

namespace doctor {

// The system that the doctor examines.
struct Patient {
  config::Config config;
  std::string config_file;
  std::string postfix_config;      // the argument of postconf's -c; empty: postconf's default
  std::optional<Postfix> postfix;  // empty: the settings could not be read
  std::string postfix_error;       // why they could not be read
  bool postfix_runs = true;        // as `postfix status` says
  std::vector<net::TcpSocket> tcp;
  std::vector<net::Endpoint> addresses;  // this machine's addresses
  bool ipv6 = true;                      // false: IPv6 is switched off
  bool root = false;                     // the doctor runs as root

  // Shell lines for Finding::mend: "postconf -c DIR ARGUMENTS" and "postfix -c DIR WORD".
  std::string postconf(const std::string& arguments) const;
  std::string postfix_command(const std::string& word) const;
};

// One finding per fault; if there is none, findings that are ok. Empty: the check does not apply.
using Findings = std::vector<Finding>;

struct Check {
  const char* name;    // printed before each of its findings
  const char* reason;  // why it exists; printed as what was looked at if the check throws
  Findings (*look)(const Patient&);
};

// --- These checks only compare values.
Findings check_configuration(const Patient&);   // the warnings of `segmilter check`
Findings check_postconf(const Patient&);        // can Postfix's settings be read
Findings check_milters(const Patient&);         // smtpd_milters and the settings that belong to it
Findings check_proxy_protocol(const Patient&);  // does Postfix expect a PROXY header
Findings check_ports(const Patient&);           // which program gets port 25, by master.cf
Findings check_timeouts(const Patient&);        // which side hangs up first, by smtpd's settings
Findings check_policy_service(const Patient&);  // the lists of restrictions that ask it
Findings check_mynetworks(const Patient&);
Findings check_limits(const Patient&);

// --- These checks look at the machine.
Findings check_listen(const Patient&);          // which process listens at proxy.listen
Findings check_desk(const Patient&);            // which process listens at desk.listen
Findings check_upstream_scope(const Patient&);  // from where can the upstream port be reached
Findings check_capture(const Patient&);         // tries to load the kernel filter
Findings check_store(const Patient&);           // can what was judged be remembered
Findings check_boot(const Patient&);            // asks systemd whether a boot starts segmilter

Findings check_tproxy(const Patient&);       // asks nft for the rules
Findings check_transparent(const Patient&);  // asks ip for them, and greets the server on loopback

// --- These checks connect to milters as Postfix's user, and to the evidence socket as segmilter's.
Findings check_milter_socket(const Patient&);
Findings check_evidence_socket(const Patient&);
Findings check_policy_socket(const Patient&);
Findings check_other_milters(const Patient&);  // the other milters of smtpd_milters

// --- These checks speak SMTP.
Findings check_upstream(const Patient&);    // with and without a PROXY header
Findings check_same_port(const Patient&);   // do proxy and Postfix name the same client
Findings check_open_relay(const Patient&);  // RCPT to a foreign domain; no DATA

// Parts of check_tproxy. judge_rules takes the output of `nft list table inet segmilter` (empty:
// there is no such table). check_own_port finds ports that no service of Postfix has.
Finding judge_rules(const Patient& patient, std::string_view rules);
Findings check_own_port(const Patient& patient);

// Part of check_transparent. `why_not`: why connections from clients' addresses do not come back;
// empty: they do. `rules`, `routes`: the output of `ip rule show` and `ip route show table 29549`.
struct Routing {
  bool v4 = true;
  std::string why_not;
  std::string rules;
  std::string routes;
};
Finding judge_routing(const Patient& patient, const Routing& routing);

// Part of check_store.
struct StoreLook {
  memory::Uses uses;
  std::uint64_t free = 0;                 // bytes that the disk has left
  std::optional<std::time_t> last_write;  // nothing: there is no file
};
Findings judge_store(const Patient& patient, const StoreLook& look, memory::Day today);

// Part of check_boot: takes the output of `systemctl is-enabled segmilter`.
Finding judge_enabled(const Patient& patient, std::string_view state);

// Parts of check_other_milters. action_without returns what Postfix does with mail while `milter`
// does not answer ("accept", "tempfail"…): the entry's own default_action, else main.cf's.
// judge_dead is called for a milter that does not answer. Its finding says what that costs, with
// the lines that let Postfix accept mail without this milter.
std::string action_without(const Postfix& postfix, const Service& smtpd, const MilterEntry& milter);
Finding judge_dead(const Patient& patient, const Service& smtpd, const MilterEntry& milter,
                   std::string_view why);

// Part of check_milters: the content filters of the smtpd that asks the milter.
void judge_filters(const Patient& patient, const Service& smtpd, Findings& findings);

// Functions that several checks share.
Finding ok(std::string found);
Finding skip(std::string looked_at, std::string found);
Finding warn(std::string looked_at, std::string found, std::vector<std::string> mend = {},
             std::string setting = {});
Finding fail(std::string looked_at, std::string found, std::vector<std::string> mend = {},
             std::string setting = {});

// True when the configuration has a proxy: proxy.listen and proxy.upstream are set.
bool has_proxy(const Patient& patient);
// True when the proxy sends Postfix a PROXY header that names the client. With upstream_protocol
// "transparent" it sends none. Checks that are about the header ask this question.
bool uses_proxy_header(const Patient& patient);

// The services of master.cf whose mail segmilter observes: with a proxy, the one service at
// proxy.upstream; on the wire, the services at wire.ports.
std::vector<const Service*> mail_services(const Patient& patient);

// Why it cannot be tested what Postfix's user may do: a finding about `looked`. nullopt: it can, and
// patient.postfix is there.
std::optional<Finding> cannot_be_postfix(const Patient& patient, const std::string& looked);

// How smtpd_milters has to write filter.socket: a path below Postfix's queue directory is written
// relative to it.
std::string postfix_spelling(const config::MilterSocket& socket,
                             const std::string& queue_directory);

// True if an address of smtpd_milters can mean filter.socket. A relative path starts at the queue
// directory. An absolute path starts there too if smtpd runs in a chroot, so both readings of an
// absolute path are accepted.
bool same_socket(const std::string& address, const config::MilterSocket& socket,
                 const std::string& queue_directory);

// The addresses to which the doctor connects as a client: each address of proxy.listen, or each
// port of wire.ports. A wildcard is replaced by one of this machine's addresses. An address that is
// not in mynetworks is preferred: what Postfix permits it, Postfix permits strangers.
std::vector<net::Endpoint> front_doors(const Patient& patient);

// From where a client of the doctor connects to `door`. Nothing: the kernel may choose. Where the
// proxy connects to Postfix from its clients' addresses, none may be on loopback: then it is one of
// the machine's other addresses, chosen as above, or, if there is none, an address that is no use.
std::optional<net::Endpoint> front_address(const Patient& patient, const net::Endpoint& door);

}  // namespace doctor
