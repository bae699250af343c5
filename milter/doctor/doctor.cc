// The table of all checks, in the order in which a client's connection passes what they look at.
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
    {"configuration", "what is allowed and seldom meant", check_configuration},
    {"postconf", "without Postfix's settings half of this is guesswork", check_postconf},
    {"listen", "clients have to reach the proxy", check_listen},
    {"tproxy", "the firewall has to send them there, and Postfix to keep the port", check_tproxy},
    {"ports", "two cannot have port 25, one must", check_ports},
    {"transparent", "connections from the clients' addresses have to reach Postfix, and answers us",
     check_transparent},
    {"upstream", "Postfix has to be told who the client is, and to believe it", check_upstream},
    {"upstream-scope", "who reaches that port may claim any address", check_upstream_scope},
    {"proxy-protocol", "the same by its settings", check_proxy_protocol},
    {"mynetworks", "who may relay", check_mynetworks},
    {"milter-socket", "Postfix's user has to get in", check_milter_socket},
    {"smtpd_milters", "Postfix has to ask, and to go on when nobody answers", check_milters},
    {"other-milters", "one that is down may keep all mail out", check_other_milters},
    {"evidence-socket", "the filter has to get an answer", check_evidence_socket},
    {"timeouts", "who hangs up first", check_timeouts},
    {"limits", "one client must not have all of smtpd's processes", check_limits},
    {"capture", "how segments are seen", check_capture},
    {"desk", "who watches has to see", check_desk},
    {"boot", "it has to be there again after the next boot", check_boot},
    {"same-port", "proxy and filter meet under the client's address and port", check_same_port},
    {"open-relay", "the worst that can come of a proxy", check_open_relay},
};

constexpr std::chrono::seconds kPostconfLimit{20};

// `program`: one of Postfix's own.
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
    findings = {skip(check.reason, fmt::format("could not be told: {}", error.what()))};
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
