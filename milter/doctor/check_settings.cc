// Checks that only compare segmilter.toml and Postfix's settings: they open no file and no
// connection. Those of smtpd_milters are in check_milters.cc, those of timeouts in
// check_timeouts.cc.
#include <fmt/format.h>

#include <algorithm>

#include "milter/config/checks.h"
#include "milter/config/load.h"
#include "milter/doctor/check.h"
#include "text/number.h"

namespace doctor {
namespace {

constexpr std::string_view kHeader = "smtpd_upstream_proxy_protocol";

// --- the PROXY protocol -------------------------------------------------------------------------

std::string parameter_of(const Service& service) {
  return service.command == "postscreen" ? "postscreen_upstream_proxy_protocol"
                                         : std::string(kHeader);
}

// An smtpd after postscreen gets the client's address from postscreen. It logs a warning if it is
// set to expect a PROXY header itself.
void judge_pass(const Patient& patient, const Service& entry, Findings& findings) {
  const auto& postfix = *patient.postfix;
  const Service* pass = postfix.smtpd_behind(entry);
  const auto looked = fmt::format("{} in master.cf is postscreen", entry.key());
  if (pass == nullptr) {
    findings.push_back(fail(looked,
                            "master.cf has no smtpd of type pass to which postscreen could pass "
                            "clients on",
                            {patient.postconf("-M 'smtpd/pass=smtpd pass - - n - - smtpd'"),
                             patient.postfix_command("reload")}));
    return;
  }
  if (postfix.value(*pass, kHeader).empty()) return;
  const bool overridden = pass->overrides.contains(kHeader);
  const auto line = overridden ? fmt::format("-PX {}/{}", shell_word(pass->key()), kHeader)
                               : fmt::format("-X {}", kHeader);
  findings.push_back(warn(
      fmt::format("{} of {}, which comes after postscreen", kHeader, pass->key()),
      "the setting is ignored there, and Postfix logs a warning for each client: postscreen has "
      "already read the PROXY header",
      {patient.postconf(line), patient.postfix_command("reload")}));
}

// A setting in main.cf applies to every smtpd, also to those that strangers can reach.
void judge_others(const Patient& patient, const Service& entry, Findings& findings) {
  const auto& postfix = *patient.postfix;
  const auto parameter = parameter_of(entry);
  if (postfix.value(parameter).empty()) return;
  for (const auto& service : postfix.services()) {
    const bool inherits = &service != &entry && service.type == "inet" &&
                          service.command == entry.command &&
                          !service.overrides.contains(parameter);
    if (!inherits) continue;
    findings.push_back(
        fail(fmt::format("{} in main.cf: {}", parameter, postfix.value(parameter)),
             fmt::format(
                 "{} has it too: every host that reaches that port can pretend to be any client, "
                 "and clients that send no PROXY header are refused",
                 service.key()),
             {patient.postconf(fmt::format(
                  "-P {}", shell_word(fmt::format("{}/{}=haproxy", entry.key(), parameter)))),
              patient.postconf("-X " + parameter), patient.postfix_command("reload")}));
  }
}

std::string new_service(const config::Proxy& proxy) {
  const auto& upstream = *proxy.upstream;
  if (proxy.is_transparent()) {
    const auto name = upstream.port() == 25 ? "smtp" : std::to_string(upstream.port());
    return fmt::format("-M '{0}/inet={0} inet n - n - - smtpd'", name);
  }
  return fmt::format("-M '{0}/inet={0} inet n - n - - smtpd -o {1}=haproxy'", upstream.print(),
                     kHeader);
}

// True if this machine has an address of that family, so that clients can connect over it.
bool can_be_reached(const Patient& patient, const net::Endpoint& listen) {
  return std::any_of(patient.addresses.begin(), patient.addresses.end(),
                     [&](const auto& own) { return own.is_v4() == listen.is_v4(); });
}

// Postfix takes a PROXY header with an address family that it does not use for a malformed header
// and closes the connection. The proxy then has no server for that client and replies 421 each
// time.
void judge_families(const Patient& patient, const Service& entry, Findings& findings) {
  constexpr std::string_view kSetting = "inet_protocols";
  const auto value = patient.postfix->value(entry, kSetting);
  const auto speaks = [value](std::string_view protocol) {
    return value.empty() || value.find("all") != value.npos || value.find(protocol) != value.npos;
  };
  std::vector<std::string> mend;
  if (entry.overrides.contains(kSetting)) {
    mend = {patient.postconf(
                fmt::format("-PX {}", shell_word(fmt::format("{}/{}", entry.key(), kSetting)))),
            patient.postfix_command("reload")};
  } else {
    // A reload does not change main.cf's inet_protocols (postfix(1)).
    mend.push_back(patient.postconf("-e 'inet_protocols = all'"));
    if (patient.postfix_runs) mend.push_back(patient.postfix_command("stop"));
    mend.push_back(patient.postfix_command("start"));
  }
  const auto& upstream = *patient.config.proxy.upstream;
  if (!speaks(upstream.is_v4() ? "ipv4" : "ipv6")) {
    findings.push_back(
        fail(fmt::format("{} of {}: {}, and proxy.upstream {}", kSetting, entry.key(), value,
                         upstream.print()),
             "Postfix cannot listen there: it does not start, or every client gets the reply 421",
             mend));
  }
  for (const auto& listen : patient.config.proxy.listen) {
    if (speaks(listen.is_v4() ? "ipv4" : "ipv6") || !can_be_reached(patient, listen)) continue;
    findings.push_back(
        fail(fmt::format("{} of {}: {}, and proxy.listen {}", kSetting, entry.key(), value,
                         listen.print()),
             fmt::format("Postfix closes the connection of each client that comes over {}: such a "
                         "client always gets the reply 421",
                         listen.is_v4() ? "IPv4" : "IPv6"),
             mend));
  }
}

// --- who may relay ------------------------------------------------------------------------------

// True for a network that is too large to belong to one site.
bool is_world(const net::Network& network) {
  // The largest private network is 10.0.0.0/8 (RFC 1918). /16 for IPv6 is chosen: registries give
  // single sites far longer prefixes.
  constexpr int kLeastV4 = 8;
  constexpr int kLeastV6 = 16;
  const auto text = network.print();
  const auto slash = text.find('/');
  const int bits = std::atoi(text.c_str() + slash + 1);
  return bits < (text.find(':') == text.npos ? kLeastV4 : kLeastV6);
}

// The spelling of mynetworks: an IPv6 address is in brackets.
std::string spell(const net::Network& network) {
  const auto text = network.print();
  const auto slash = text.find('/');
  if (text.find(':') == text.npos) return text;
  return "[" + text.substr(0, slash) + "]" + text.substr(slash);
}

}  // namespace

Findings check_configuration(const Patient& patient) {
  Findings findings;
  for (const auto& warning : config::warnings(patient.config)) {
    // check_timeouts compares these with the values of this Postfix.
    if (patient.postfix && warning.starts_with("proxy.idle_timeout:")) continue;
    if (patient.postfix && warning.starts_with("proxy.answer_timeout:")) continue;
    findings.push_back(warn("segmilter.toml", warning));
  }
  if (!config::observes(patient.config)) {
    findings.push_back(warn("proxy.listen and wire.ports", config::why_unobserved(patient.config),
                            {kRestart}, "[wire] ports = [25]"));
  }
  if (findings.empty()) findings.push_back(ok("segmilter.toml is valid, without warnings"));
  return findings;
}

Findings check_postconf(const Patient& patient) {
  const auto looked = patient.postconf("-x, -M and -P");
  if (!patient.postfix) {
    return {fail(looked, fmt::format("Postfix's settings cannot be read, so the checks that need "
                                     "them are left out: {}",
                                     patient.postfix_error))};
  }
  if (patient.config.proxy.listen.empty() && patient.config.wire.ports.empty()) return {};
  if (!mail_services(patient).empty()) {
    return {ok(fmt::format("Postfix {}, {}", patient.postfix->value("mail_version"),
                           patient.postfix->value("config_directory")))};
  }
  if (has_proxy(patient)) {
    const auto& upstream = *patient.config.proxy.upstream;
    return {fail(
        fmt::format("the services of master.cf, for proxy.upstream {}", upstream.print()),
        fmt::format("master.cf has no smtpd on {}, to which the proxy connects clients",
                    upstream.print()),
        {patient.postconf(new_service(patient.config.proxy)), patient.postfix_command("reload")})};
  }
  return {};  // check_ports reports it
}

Findings check_proxy_protocol(const Patient& patient) {
  Findings findings;
  if (!uses_proxy_header(patient)) return findings;
  for (const Service* entry : mail_services(patient)) {
    const auto parameter = parameter_of(*entry);
    const auto value = patient.postfix->value(*entry, parameter);
    if (value != "haproxy") {
      findings.push_back(fail(
          fmt::format("{} of {}: {}", parameter, entry->key(), value.empty() ? "(empty)" : value),
          "Postfix does not expect a PROXY header: to Postfix every client is 127.0.0.1, which may "
          "relay because it is in mynetworks",
          {patient.postconf("-P " +
                            shell_word(fmt::format("{}/{}=haproxy", entry->key(), parameter))),
           patient.postfix_command("reload")}));
    }
    judge_others(patient, *entry, findings);
    judge_families(patient, *entry, findings);
    if (entry->command == "postscreen") judge_pass(patient, *entry, findings);
    if (findings.empty()) {
      auto timeout = parameter;
      timeout.replace(timeout.find("protocol"), timeout.npos, "timeout");
      findings.push_back(
          ok(fmt::format("{} expects the PROXY header ({}) and waits {} for it", entry->key(),
                         entry->command, patient.postfix->value(*entry, timeout))));
    }
  }
  return findings;
}

Findings check_ports(const Patient& patient) {
  Findings findings;
  if (!patient.postfix) return findings;
  for (const auto& listen : patient.config.proxy.listen) {
    for (const auto& service : patient.postfix->services()) {
      const auto address = parse_service_name(service.name);
      if (service.type != "inet" || !address || address->port != listen.port()) continue;
      // Postfix may be on loopback only, and the proxy on the outside address.
      const auto interfaces = patient.postfix->value(service, "inet_interfaces");
      const bool apart = interfaces == "loopback-only" && !listen.is_loopback();
      const bool everywhere = (address->host.empty() && !apart) ||
                              !net::Endpoint::parse_address(listen.print_address(), 1);
      const auto any = listen.print_address();
      const bool clash = everywhere || any == "0.0.0.0" || any == "::" ||
                         patient.postfix->service_at(listen) == &service;
      const bool said = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
        return finding.looked_at.find(service.key()) != std::string::npos;
      });
      if (!clash || said) continue;
      findings.push_back(
          fail(fmt::format("{} in master.cf, and proxy.listen {}", service.key(), listen.print()),
               fmt::format("Postfix and segmilter both want port {}: the one that starts last "
                           "does not get it",
                           listen.port()),
               {patient.postconf("-M# " + shell_word(service.key())),
                patient.postfix_command("reload")}));
    }
  }
  if (patient.config.proxy.listen.empty() && !patient.config.wire.ports.empty() &&
      mail_services(patient).empty()) {
    const auto port = patient.config.wire.ports.front();
    const auto name = port == 25 ? std::string("smtp") : std::to_string(port);
    findings.push_back(fail(
        fmt::format("the services of master.cf, for wire.ports {}", port),
        fmt::format("Postfix does not listen on port {}, so there is nothing to observe", port),
        {patient.postconf(fmt::format("-M '{0}/inet={0} inet n - n - - smtpd'", name)),
         patient.postfix_command("reload")}));
  }
  if (findings.empty()) {
    findings.push_back(ok(patient.config.proxy.listen.empty()
                              ? "Postfix listens on the observed port"
                              : "no service of master.cf uses the ports of proxy.listen"));
  }
  return findings;
}

Findings check_mynetworks(const Patient& patient) {
  Findings findings;
  for (const Service* entry : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*entry);
    if (smtpd == nullptr) continue;
    const auto value = patient.postfix->value(*smtpd, "mynetworks");
    const auto list = parse_networks(value);
    std::string good;
    std::string world;
    for (const auto& network : list.networks)
      (is_world(network) ? world : good) += " " + spell(network);
    const auto tables = list.tables == 0 ? "" : ", and tables that the doctor does not read";
    if (!world.empty()) {
      if (good.empty()) good = " 127.0.0.0/8 [::1]/128";
      std::vector<std::string> mend;
      if (smtpd->overrides.contains("mynetworks")) {
        mend.push_back(patient.postconf("-PX " + shell_word(smtpd->key() + "/mynetworks")));
      }
      mend.push_back(patient.postconf("-e " + shell_word("mynetworks =" + good)));
      mend.push_back(patient.postfix_command("reload"));
      findings.push_back(
          fail(fmt::format("mynetworks of {}: {}", smtpd->key(), value),
               fmt::format("OPEN RELAY: mynetworks has{}: every host may relay.", world),
               std::move(mend)));
      continue;
    }
    const bool loopback =
        net::contains(list.networks, *net::Endpoint::parse_address("127.0.0.1", 1));
    const auto meaning =
        loopback && has_proxy(patient)
            ? ": loopback may relay, so Postfix must never take a client's address "
              "for loopback"
            : "";
    findings.push_back(ok(fmt::format("{}{}{}", value, tables, meaning)));
  }
  return findings;
}

Findings check_limits(const Patient& patient) {
  Findings findings;
  for (const Service* entry : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*entry);
    if (smtpd == nullptr || !has_proxy(patient)) continue;
    const auto& postfix = *patient.postfix;
    const auto processes =
        text::number<unsigned>(smtpd->maxproc == "-" ? postfix.value("default_process_limit")
                                                     : std::string_view(smtpd->maxproc));
    const auto count =
        text::number<unsigned>(postfix.value(*smtpd, "smtpd_client_connection_count_limit"));
    const auto ours = patient.config.proxy.max_sessions_per_address;
    if (!processes || !count) continue;
    const auto each = *count == 0 ? ours : std::min(*count, ours);
    const auto text = fmt::format(
        "{} smtpd processes; one client can use {} of them (smtpd_client_connection_count_limit "
        "{}, proxy.max_sessions_per_address {})",
        *processes, each, *count, ours);
    if (*processes == 0 || each < *processes) {
      findings.push_back(ok(text));
      continue;
    }
    findings.push_back(
        warn(text, "one client can use all smtpd processes, and the others have to wait",
             {patient.postconf(fmt::format("-e 'smtpd_client_connection_count_limit = {}'",
                                           std::max(1U, *processes / 2))),
              patient.postfix_command("reload")}));
  }
  return findings;
}

}  // namespace doctor
