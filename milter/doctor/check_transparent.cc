// With upstream_protocol "transparent" the proxy connects to Postfix from the clients' addresses.
// These checks examine what this needs: the routing rules, and an smtpd on loopback that expects no
// PROXY header.
#include <fmt/format.h>

#include <algorithm>

#include "milter/doctor/check.h"
#include "milter/doctor/command.h"
#include "milter/doctor/dialogue.h"
#include "milter/net/connect_as.h"
#include "text/lines.h"

namespace doctor {
namespace {

constexpr std::chrono::seconds kIpLimit{10};

std::string routing_line(const Patient& patient) {
  return fmt::format("segmilter nft -c {} --routing | sh -e", patient.config_file);
}

// Whether a line of `text` contains all of `words`.
bool has_line(std::string_view text, std::initializer_list<std::string_view> words) {
  while (!text.empty()) {
    const auto line = text::take_line(text);
    if (std::all_of(words.begin(), words.end(),
                    [&](auto word) { return line.find(word) != line.npos; })) {
      return true;
    }
  }
  return false;
}

std::string ask_ip(bool v4, std::initializer_list<const char*> words) {
  std::vector<std::string> argv{"ip", v4 ? "-4" : "-6"};
  argv.insert(argv.end(), words.begin(), words.end());
  const auto result = run_command(argv, kIpLimit);
  return result.status == 0 ? result.output : "";
}

// With this setting smtpd waits for a PROXY header, which the proxy does not send here.
void judge_header(const Patient& patient, const Service& entry, Findings& findings) {
  const auto parameter = entry.command == "postscreen" ? "postscreen_upstream_proxy_protocol"
                                                       : "smtpd_upstream_proxy_protocol";
  const auto value = patient.postfix->value(entry, parameter);
  if (value.empty()) return;
  const auto line =
      entry.overrides.contains(parameter)
          ? fmt::format("-PX {}", shell_word(fmt::format("{}/{}", entry.key(), parameter)))
          : fmt::format("-X {}", parameter);
  findings.push_back(fail(fmt::format("{} of {}: {}", parameter, entry.key(), value),
                          "it waits for a PROXY header, which the proxy does not send with "
                          "upstream_protocol \"transparent\": no client is greeted",
                          {patient.postconf(line), patient.postfix_command("reload")}));
}

void judge_server(const Patient& patient, const net::Endpoint& server, Findings& findings) {
  const auto looked = fmt::format("a session with {}", server.print());
  Dialogue session(server);
  if (!session.connected()) {
    const auto interfaces =
        patient.postfix ? patient.postfix->value("inet_interfaces") : std::string_view();
    const auto protocols =
        patient.postfix ? patient.postfix->value("inet_protocols") : std::string_view();
    // Neither setting changes at a reload (postconf(5)).
    std::vector<std::string> mend;
    if (!patient.postfix_runs) {
      mend = {patient.postfix_command("start")};
    } else {
      mend = {patient.postconf("-e 'inet_interfaces = all' 'inet_protocols = all'"),
              patient.postfix_command("stop"), patient.postfix_command("start")};
    }
    findings.push_back(fail(
        looked,
        fmt::format("{}: clients that come over {} receive 421 (inet_interfaces {}, inet_protocols "
                    "{})",
                    session.error(), server.is_v4() ? "IPv4" : "IPv6", interfaces, protocols),
        std::move(mend)));
    return;
  }
  const auto greeting = session.reply();
  session.quit();
  if (greeting.is(2)) {
    findings.push_back(ok(fmt::format("{} greets: {}", server.print(), greeting.print())));
  } else {
    findings.push_back(fail(looked, fmt::format("no greeting: {}", greeting.print())));
  }
}

}  // namespace

Finding judge_routing(const Patient& patient, const Routing& routing) {
  const auto* family = routing.v4 ? "-4" : "-6";
  const auto* loopback = routing.v4 ? "from 127.0.0.0/8 iif lo" : "from ::1 iif lo";
  const std::vector<std::string> mend{routing_line(patient)};
  constexpr std::string_view kCost = "Postfix's answers do not come back, and clients receive 421";
  if (routing.why_not.empty()) {
    return ok(fmt::format("connections from clients' addresses come back ({})",
                          routing.v4 ? "IPv4" : "IPv6"));
  }
  if (!has_line(routing.rules, {loopback, std::to_string(net::kRoutingTable)})) {
    return fail(fmt::format("ip {} rule", family),
                fmt::format("no rule \"{} lookup {}\": {}", loopback, net::kRoutingTable, kCost),
                mend);
  }
  if (!has_line(routing.routes, {"local default dev lo"})) {
    return fail(fmt::format("ip {} route show table {}", family, net::kRoutingTable),
                fmt::format("no route \"local default dev lo\" in it: {}", kCost), mend);
  }
  return fail(
      "a connection over lo, from an address that no machine has",
      fmt::format("{}; the routing rule and its route are there: another rule stands in front "
                  "of it, or the firewall drops what comes over lo from foreign addresses. {}",
                  routing.why_not, kCost));
}

std::vector<bool> transparent_families(const Patient& patient) {
  std::vector<bool> families;
  for (const bool v4 : {true, false}) {
    const bool served = net::has_family(patient.config.proxy.listen, v4);
    if (served && (v4 || patient.ipv6)) families.push_back(v4);
  }
  return families;
}

Findings check_transparent(const Patient& patient) {
  if (!has_proxy(patient) || !patient.config.proxy.is_transparent()) return {};
  Findings findings;
  for (const Service* entry : mail_services(patient)) judge_header(patient, *entry, findings);
  const bool waits = !findings.empty();
  for (const bool v4 : transparent_families(patient)) {
    if (!waits)
      judge_server(patient, net::loopback_of(*patient.config.proxy.upstream, v4), findings);
    if (!patient.root) {
      findings.push_back(skip("a connection over lo, from an address that no machine has",
                              "only root may make such a connection (run the doctor as root)"));
      continue;
    }
    const auto source = net::open_transparent_source(v4, "open a transparent socket");
    Routing routing{
        .v4 = v4, .why_not = net::why_not_transparent(source), .rules = {}, .routes = {}};
    if (!routing.why_not.empty()) {
      routing.rules = ask_ip(v4, {"rule", "show"});
      routing.routes =
          ask_ip(v4, {"route", "show", "table", std::to_string(net::kRoutingTable).c_str()});
    }
    findings.push_back(judge_routing(patient, routing));
  }
  return findings;
}

}  // namespace doctor
