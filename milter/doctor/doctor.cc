// Runs all checks. The table lists them in the order in which a client's connection passes the
// things that they examine.
#include "milter/doctor/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "milter/doctor/check.h"
#include "milter/doctor/command.h"
#include "milter/doctor/report.h"
#include "milter/net/server_socket.h"

namespace doctor {
namespace {

constexpr Check kChecks[] = {
    {"configuration", "settings that are valid but rarely intended", check_configuration},
    {"postconf", "many checks need Postfix's settings", check_postconf},
    {"listen", "clients have to reach the proxy", check_listen},
    {"tproxy", "the firewall has to send clients to the proxy, Postfix has to keep its port",
     check_tproxy},
    {"ports", "exactly one program can have port 25", check_ports},
    {"transparent", "connections from the clients' addresses have to reach Postfix and come back",
     check_transparent},
    {"upstream", "Postfix has to learn the client's address from the PROXY header", check_upstream},
    {"upstream-scope", "a host that reaches the upstream port can pretend to be any client",
     check_upstream_scope},
    {"proxy-protocol", "Postfix's settings have to expect the PROXY header", check_proxy_protocol},
    {"mynetworks", "only this site's own hosts may relay", check_mynetworks},
    {"milter-socket", "Postfix's user has to reach the milter socket", check_milter_socket},
    {"smtpd_milters", "Postfix has to ask segmilter, and to accept mail while it is down",
     check_milters},
    {"other-milters", "another milter that is down can stop all mail", check_other_milters},
    {"policy_service", "Postfix has to ask the policy service, and to accept mail while it is down",
     check_policy_service},
    {"policy-socket", "Postfix's user has to reach the policy service", check_policy_socket},
    {"evidence-socket", "the filter has to get answers from the observer", check_evidence_socket},
    {"timeouts", "Postfix has to close a session before the proxy does", check_timeouts},
    {"limits", "one client must not use all smtpd processes", check_limits},
    {"capture", "how segments are observed", check_capture},
    {"desk", "browsers and Prometheus have to reach the desk", check_desk},
    {"store", "judged messages have to be remembered", check_store},
    {"boot", "segmilter has to start at boot", check_boot},
    {"same-port", "proxy and filter have to see the same client address and port", check_same_port},
    {"open-relay", "strangers must not be able to relay", check_open_relay},
};

// Chosen, not measured: postconf usually ends within a second. A longer limit delays the report of
// a postconf that hangs.
constexpr std::chrono::seconds kPostconfLimit{20};

// `program`: a program of Postfix, such as "postconf".
CommandResult ask_postfix(const Patient& patient, const char* program, const char* word) {
  std::vector<std::string> argv{program};
  if (!patient.postfix_config.empty()) argv.insert(argv.end(), {"-c", patient.postfix_config});
  argv.emplace_back(word);
  return run_command(argv, kPostconfLimit);
}

void read_postfix(Patient& patient) {
  std::string texts[3];
  const char* switches[] = {"-x", "-M", "-P"};
  for (int i = 0; i < 3; ++i) {
    auto result = ask_postfix(patient, "postconf", switches[i]);
    if (result.status != 0) {
      patient.postfix_error = result.error;
      return;
    }
    texts[i] = std::move(result.output);
  }
  patient.postfix = Postfix::parse(texts[0], texts[1], texts[2]);
  patient.postfix_runs = ask_postfix(patient, "postfix", "status").status == 0;
}

Findings look(const Check& check, const Patient& patient) {
  Findings findings;
  try {
    findings = check.look(patient);
  } catch (const std::exception& error) {
    findings = {skip(check.reason, fmt::format("this check could not run: {}", error.what()))};
  }
  for (auto& finding : findings) finding.check = check.name;
  return findings;
}

}  // namespace

int examine(const config::Config& config, const Options& options) {
  Patient patient{.config = config,
                  .config_file = options.config_file,
                  .postfix_config = options.postfix_config,
                  .postfix = {},
                  .postfix_error = {},
                  .tcp = net::tcp_sockets(),
                  .addresses = net::own_addresses(),
                  .ipv6 = net::has_ipv6(),
                  .root = geteuid() == 0};
  read_postfix(patient);
  Findings all;
  for (const auto& check : kChecks) {
    const auto findings = look(check, patient);
    all.insert(all.end(), findings.begin(), findings.end());
  }
  const bool colours = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  fmt::print(
      "{}", options.format == Options::Format::Json ? report_json(all) : report_text(all, colours));
  return exit_code(all);
}

}  // namespace doctor
