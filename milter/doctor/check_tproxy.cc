// Checks for the deployment with tproxy: the firewall has to send the ports to the proxy, and
// Postfix has to listen on them too.
#include <fmt/format.h>

#include <algorithm>

#include "milter/doctor/check.h"
#include "milter/doctor/command.h"
#include "text/lines.h"

namespace doctor {
namespace {

constexpr std::chrono::seconds kNftLimit{10};
constexpr std::string_view kTable = "nft list table inet segmilter";

std::string load_line(const Patient& patient) {
  return fmt::format("segmilter nft -c {} | nft -f -", patient.config_file);
}

// nft prints a rule like this: "tcp dport { 25, 2525 } tproxy ip to 127.0.0.1:10024 meta mark set
// …".
bool has_word(std::string_view line, std::string_view word) {
  for (std::size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1)) {
    const auto end = at + word.size();
    const bool begins = at == 0 || line[at - 1] == ' ';
    if (begins && (end == line.size() || line[end] == ' ' || line[end] == ',')) return true;
  }
  return false;
}

bool diverts(std::string_view rules, const net::Endpoint& listen, std::uint16_t port) {
  const auto target = fmt::format("tproxy {} to {}", listen.is_v4() ? "ip" : "ip6", listen.print());
  while (!rules.empty()) {
    const auto line = text::take_line(rules);
    if (has_word(line, target) &&
        has_word(line.substr(0, line.find(target)), std::to_string(port))) {
      return true;
    }
  }
  return false;
}

}  // namespace

Finding judge_rules(const Patient& patient, std::string_view rules) {
  const auto& proxy = patient.config.proxy;
  for (const auto& listen : proxy.listen) {
    for (const auto port : proxy.tproxy_ports) {
      if (diverts(rules, listen, port)) continue;
      return fail(std::string(kTable),
                  fmt::format("no rule sends port {} to {}: clients connect to Postfix's own port, "
                              "and their mail is not observed",
                              port, listen.print()),
                  {load_line(patient)});
    }
  }
  return ok(fmt::format("the firewall sends port {} to the proxy while it listens",
                        fmt::join(proxy.tproxy_ports, ", ")));
}

Findings check_own_port(const Patient& patient) {
  Findings findings;
  if (!patient.postfix) return findings;
  for (const auto port : patient.config.proxy.tproxy_ports) {
    const auto& services = patient.postfix->services();
    const bool kept = std::any_of(services.begin(), services.end(), [&](const Service& service) {
      const auto address = parse_service_name(service.name);
      return service.type == "inet" && address && address->port == port;
    });
    if (kept) continue;
    const auto name = port == 25 ? std::string("smtp") : std::to_string(port);
    findings.push_back(fail(
        "the services of master.cf, for proxy.tproxy_ports",
        fmt::format("master.cf has no smtpd on port {}: clients are refused while segmilter does "
                    "not run",
                    port),
        {patient.postconf(fmt::format("-M '{0}/inet={0} inet n - n - - smtpd'", name)),
         patient.postfix_command("reload")}));
  }
  return findings;
}

Findings check_tproxy(const Patient& patient) {
  if (patient.config.proxy.tproxy_ports.empty()) return {};
  Findings findings = check_own_port(patient);
  if (!patient.root) {
    findings.push_back(skip(std::string(kTable),
                            "only root can see the firewall's rules (run the doctor as root)"));
    return findings;
  }
  const auto result = run_command({"nft", "list", "table", "inet", "segmilter"}, kNftLimit);
  if (result.status == kNotFound) {
    findings.push_back(fail(
        std::string(kTable),
        fmt::format("{} Without nft no rule sends clients to the proxy: they connect to Postfix's "
                    "own port, and their mail is not observed",
                    result.error),
        {"apt-get install nftables", load_line(patient)}));
    return findings;
  }
  findings.push_back(judge_rules(patient, result.status == 0 ? result.output : ""));
  return findings;
}

}  // namespace doctor
