// Checks of smtpd_milters: does it name segmilter, does its path lead to segmilter's socket, and
// what does Postfix do with mail while segmilter does not answer. These checks only compare
// settings.
#include <fmt/format.h>

#include <filesystem>

#include "milter/doctor/check.h"

namespace doctor {
namespace {

using std::chrono::seconds;

// The same values as in examples/postfix/listen/main.cf. Postfix's defaults are 30 s each: while
// the filter hangs, every client would wait that long for its greeting.
constexpr std::string_view kConnectTimeout = "2s";
constexpr std::string_view kCommandTimeout = "5s";
constexpr seconds kLongestTimeout{10};  // chosen, not measured; longer ones get a warning

std::string queue_directory(const Postfix& postfix) {
  const auto value = postfix.value("queue_directory");
  return std::string(value.empty() ? "/var/spool/postfix" : value);
}

// The path at which smtpd looks for a unix socket. smtpd runs in the queue directory; in a chroot
// the queue directory is "/".
std::string path_read(const Postfix& postfix, const Service& smtpd, const std::string& address) {
  const auto rest = address.substr(address.find(':') + 1);
  const auto queue = queue_directory(postfix);
  const bool whole = rest.starts_with('/');
  const auto path = whole ? (postfix.chrooted(smtpd) ? queue + rest : rest) : queue + "/" + rest;
  return std::filesystem::path(path).lexically_normal();
}

struct Milters {
  const Postfix& postfix;
  const Service& smtpd;
  std::vector<MilterEntry> list;
  const MilterEntry* ours = nullptr;

  Milters(const Patient& patient, const Service& service)
      : postfix(*patient.postfix),
        smtpd(service),
        list(parse_milters(postfix.value(smtpd, "smtpd_milters"))) {
    for (const auto& entry : list) {
      if (same_socket(entry.address, patient.config.filter.socket, queue_directory(postfix))) {
        ours = &entry;
        return;
      }
    }
  }

  Milters(const Milters&) = delete;  // `ours` points into `list`
  Milters& operator=(const Milters&) = delete;

  // True if the address in smtpd_milters leads smtpd to filter.socket.
  bool reaches(const Patient& patient) const {
    const auto& socket = patient.config.filter.socket;
    if (ours == nullptr || !socket.is_unix()) return ours != nullptr;
    return path_read(postfix, smtpd, ours->address) == socket.path;
  }

  // The option of segmilter's entry, else main.cf's setting.
  std::string option(std::string_view name, std::string_view setting) const {
    if (ours != nullptr) {
      const auto found = ours->options.find(name);
      if (found != ours->options.end()) return found->second;
    }
    return std::string(postfix.value(smtpd, setting));
  }
};

bool in_time(const std::string& text, seconds limit) {
  const auto time = parse_time(text);
  return time && *time <= limit;
}

// segmilter's entry as it should be. Options that have good values stay.
std::string mended_entry(const Patient& patient, const Milters& milters) {
  const auto keep = [&](std::string_view name, std::string_view wanted) {
    if (milters.ours == nullptr) return std::string(wanted);
    const auto found = milters.ours->options.find(name);
    const bool good =
        found != milters.ours->options.end() && in_time(found->second, kLongestTimeout) &&
        !in_time(found->second,
                 std::chrono::duration_cast<seconds>(patient.config.filter.evidence_timeout));
    return good ? found->second : std::string(wanted);
  };
  const auto address =
      milters.reaches(patient)
          ? milters.ours->address
          : postfix_spelling(patient.config.filter.socket, queue_directory(milters.postfix));
  auto text = fmt::format("{{ {}, default_action=accept, connect_timeout={}, command_timeout={}",
                          address, keep("connect_timeout", kConnectTimeout),
                          keep("command_timeout", kCommandTimeout));
  if (milters.ours != nullptr) {
    for (const auto& [name, value] : milters.ours->options) {
      const bool written = name == "default_action" || name == "connect_timeout" ||
                           name == "command_timeout" || name == "protocol";
      if (!written) text += fmt::format(", {}={}", name, value);
    }
  }
  return text + " }";
}

// `entry` with default_action=accept before its other options.
std::string accepting(const MilterEntry& entry) {
  auto text = fmt::format("{{ {}, default_action=accept", entry.address);
  for (const auto& [name, option] : entry.options) {
    if (name != "default_action") text += fmt::format(", {}={}", name, option);
  }
  return text + " }";
}

// The lines that fix everything that is wrong with smtpd_milters: segmilter's entry comes first,
// the other entries follow unchanged. An entry whose text is `dead` gets default_action=accept.
std::vector<std::string> mend_milters(const Patient& patient, const Milters& milters,
                                      std::string_view dead = {}) {
  auto value = mended_entry(patient, milters);
  for (const auto& entry : milters.list) {
    if (&entry != milters.ours) {
      value += ", " + (entry.text == dead ? accepting(entry) : entry.text);
    }
  }
  std::vector<std::string> lines;
  if (milters.smtpd.overrides.contains("smtpd_milters")) {
    // postconf -P accepts no spaces in a value, so the service has to use main.cf's value.
    lines.push_back(patient.postconf("-PX " + shell_word(milters.smtpd.key() + "/smtpd_milters")));
  }
  lines.push_back(patient.postconf("-e " + shell_word("smtpd_milters = " + value)));
  lines.push_back(patient.postfix_command("reload"));
  return lines;
}

void judge_milters(const Patient& patient, const Service& smtpd, Findings& findings) {
  const Milters milters(patient, smtpd);
  const auto value = milters.postfix.value(smtpd, "smtpd_milters");
  const auto looked =
      fmt::format("smtpd_milters of {}: {}", smtpd.key(), value.empty() ? "(empty)" : value);
  const auto before = findings.size();
  const auto complain =
      [&](Finding (*how)(std::string, std::string, std::vector<std::string>, std::string),
          std::string what) {
        findings.push_back(how(looked, std::move(what), mend_milters(patient, milters), {}));
      };
  if (milters.ours == nullptr) {
    return complain(fail, fmt::format("smtpd_milters does not name segmilter ({}): no mail is "
                                      "labelled",
                                      patient.config.filter.socket.print()));
  }
  if (!milters.reaches(patient)) {
    complain(fail, fmt::format("smtpd{} looks for segmilter's socket at {}, but it is at {}: no "
                               "mail is labelled",
                               milters.postfix.chrooted(smtpd) ? " in its chroot" : "",
                               path_read(milters.postfix, smtpd, milters.ours->address),
                               patient.config.filter.socket.print()));
  }
  if (milters.ours != &milters.list.front()) {
    complain(warn, fmt::format("segmilter comes after {} in smtpd_milters: headers that another "
                               "milter adds before it were not part of the message as it was sent",
                               milters.list.front().address));
  }
  const auto action = milters.option("default_action", "milter_default_action");
  if (action != "accept") {
    complain(warn, fmt::format("default_action is {}: Postfix accepts no mail while segmilter's "
                               "filter is down",
                               action));
  }
  const auto connect = milters.option("connect_timeout", "milter_connect_timeout");
  const auto command = milters.option("command_timeout", "milter_command_timeout");
  for (const auto& [name, time] :
       {std::pair("connect_timeout", connect), std::pair("command_timeout", command)}) {
    if (in_time(time, kLongestTimeout)) continue;
    complain(warn,
             fmt::format("{} is {}: every client waits that long if the filter hangs", name, time));
  }
  const auto patience = parse_time(command);
  if (patience && *patience <= patient.config.filter.evidence_timeout) {
    complain(warn,
             fmt::format("command_timeout is {} and filter.evidence_timeout is {} ms: Postfix "
                         "gives up before the filter does",
                         command, patient.config.filter.evidence_timeout.count()));
  }
  const auto protocol = milters.option("protocol", "milter_protocol");
  if (protocol != "6") {
    findings.push_back(
        warn(looked, fmt::format("milter_protocol is {}: segmilter's filter needs 6", protocol),
             {patient.postconf("-e 'milter_protocol = 6'"), patient.postfix_command("reload")}));
  }
  judge_filters(patient, smtpd, findings);
  if (findings.size() == before) {
    findings.push_back(
        ok(fmt::format("{}: {} is the first milter; Postfix accepts mail while it "
                       "is down",
                       smtpd.key(), milters.ours->address)));
  }
}

}  // namespace

std::string action_without(const Postfix& postfix, const Service& smtpd,
                           const MilterEntry& milter) {
  const auto own = milter.options.find("default_action");
  return own != milter.options.end() ? own->second
                                     : std::string(postfix.value(smtpd, "milter_default_action"));
}

Finding judge_dead(const Patient& patient, const Service& smtpd, const MilterEntry& milter,
                   std::string_view why) {
  const auto& postfix = *patient.postfix;
  const auto value = postfix.value(smtpd, "smtpd_milters");
  const auto looked = fmt::format("smtpd_milters of {}: {}", smtpd.key(), value);
  const auto action = action_without(postfix, smtpd, milter);
  if (action == "accept") {
    return skip(looked, fmt::format("the milter {} is down ({}); Postfix accepts mail without it",
                                    milter.address, why));
  }
  return fail(
      looked,
      fmt::format("the milter {} is down ({}) and its default_action is {}: Postfix accepts no "
                  "mail. Start this milter; until then the lines below let Postfix accept mail "
                  "without it",
                  milter.address, why, action),
      mend_milters(patient, Milters(patient, smtpd), milter.text));
}

Findings check_milters(const Patient& patient) {
  Findings findings;
  for (const Service* service : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*service);
    if (smtpd != nullptr) judge_milters(patient, *smtpd, findings);
  }
  return findings;
}

}  // namespace doctor
