// Part of check_milters: content filters that run beside segmilter. A filter decides which messages
// Postfix shows to milters. These checks only compare settings.
//
//     before the queue   smtpd ─► smtpd_proxy_filter ─► smtpd         the first smtpd shows milters
//                                                                     no message
//     after the queue    smtpd ─► queue ─► content_filter ─► smtpd    the second smtpd shows them
//                                                                     the message a second time
#include <fmt/format.h>

#include "milter/doctor/check.h"

namespace doctor {
namespace {

constexpr std::string_view kNoMilters = "no_milters";

// The "host:port" of a filter, without "inet:". Empty: the filter has a unix socket or names no
// host.
std::string filter_address(std::string_view value) {
  if (value.starts_with("inet:")) value.remove_prefix(5);
  const auto colon = value.rfind(':');
  if (colon == value.npos || colon == 0 || value.starts_with("unix:")) return {};
  return std::string(value);
}

// The host of "transport:[host]:port"; empty: none is named.
std::string_view next_hop(std::string_view content_filter) {
  const auto colon = content_filter.find(':');
  if (colon == content_filter.npos) return {};
  auto host = content_filter.substr(colon + 1);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool is_loopback(std::string_view host) {
  if (host == "localhost") return true;
  const auto address = net::Endpoint::parse_address(host, 0);
  return address && address->is_loopback();
}

void judge_before_queue(const Patient& patient, const Service& smtpd, Findings& findings) {
  const auto value = patient.postfix->value(smtpd, "smtpd_proxy_filter");
  if (value.empty()) return;
  std::vector<std::string> mend;
  const auto address = filter_address(value);
  if (!address.empty()) {
    const auto colon = address.rfind(':');
    const auto host =
        address.front() == '[' ? address.substr(0, colon) : "[" + address.substr(0, colon) + "]";
    const auto setting = [&](std::string_view name, std::string_view text) {
      return patient.postconf("-P " + shell_word(fmt::format("{}/{}={}", smtpd.key(), name, text)));
    };
    mend = {setting("smtpd_proxy_filter", ""),
            setting("content_filter", fmt::format("smtp:{}{}", host, address.substr(colon))),
            patient.postfix_command("reload")};
  }
  findings.push_back(fail(
      fmt::format("smtpd_proxy_filter of {}: {}", smtpd.key(), value),
      "an smtpd with a filter before the queue shows milters no message: no mail is labelled, and "
      "forged headers stay. Run the filter as a milter, or as a content_filter after the queue, "
      "which however cannot refuse mail while the client waits",
      std::move(mend)));
}

// `smtpd` listens on loopback: a content filter on this machine gives mail back to it.
void judge_return(const Patient& patient, const Service& smtpd, Findings& findings) {
  const Postfix& postfix = *patient.postfix;
  const auto queue = postfix.value("queue_directory");
  bool ours = false;
  for (const auto& entry : parse_milters(postfix.value(smtpd, "smtpd_milters"))) {
    ours |= same_socket(entry.address, patient.config.filter.socket,
                        std::string(queue.empty() ? "/var/spool/postfix" : queue));
  }
  const auto options = postfix.value(smtpd, "receive_override_options");
  if (!ours || options.find(kNoMilters) != options.npos) return;
  std::string wanted;
  for (const char c : options) {
    if (c != ' ') wanted.push_back(c);  // postconf -P accepts no spaces in a value
  }
  if (!wanted.empty()) wanted.push_back(',');
  wanted += kNoMilters;
  findings.push_back(warn(
      fmt::format("receive_override_options of {}: {}", smtpd.key(),
                  options.empty() ? "(empty)" : options),
      "a content filter gives mail back to this smtpd, which shows it to segmilter and the other "
      "milters a second time",
      {patient.postconf("-P " + shell_word(smtpd.key() + "/receive_override_options=" + wanted)),
       patient.postfix_command("reload")}));
}

// A content filter on another machine gives mail back from its own address.
void judge_host(const Patient& patient, std::string_view content_filter, Findings& findings) {
  const auto host = next_hop(content_filter);
  const auto address = net::Endpoint::parse_address(host, 0);
  if (!address || address->is_loopback()) return;
  const auto& networks = patient.config.exempt.networks;
  if (net::contains(networks, *address)) return;
  std::string list;
  for (const auto& network : networks) list += fmt::format("\"{}\", ", network.print());
  findings.push_back(
      warn(fmt::format("content_filter: {}", content_filter),
           fmt::format("{} is not in exempt.networks: when this content filter gives a message "
                       "back, the message's label is replaced by a label of the filter's own "
                       "connection",
                       address->print_address()),
           {}, fmt::format("[exempt] networks = [{}\"{}\"]", list, address->print_address())));
}

}  // namespace

void judge_filters(const Patient& patient, const Service& smtpd, Findings& findings) {
  const Postfix& postfix = *patient.postfix;
  judge_before_queue(patient, smtpd, findings);
  const auto content_filter = postfix.value(smtpd, "content_filter");
  if (content_filter.empty()) return;
  judge_host(patient, content_filter, findings);
  if (!is_loopback(next_hop(content_filter))) return;
  for (const auto& service : postfix.services()) {
    const auto address = parse_service_name(service.name);
    const bool returns = service.type == "inet" && service.command == "smtpd" && address &&
                         is_loopback(address->host) && service.key() != smtpd.key();
    if (returns) judge_return(patient, service, findings);
  }
}

}  // namespace doctor
