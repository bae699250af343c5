// Checks of the policy service: does Postfix ask it, at the places that its rules are for, and what
// does Postfix do while it does not answer. The first check only compares settings; the second one
// asks a question as Postfix's user, from smtpd's chroot.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "milter/doctor/as_user.h"
#include "milter/doctor/check.h"
#include "milter/net/unix_socket.h"
#include "text/ascii.h"
#include "text/number.h"

namespace doctor {
namespace {

using config::PolicyState;
using std::chrono::seconds;

constexpr std::string_view kWord = "check_policy_service";
// As in examples/postfix/policy/main.cf. Postfix's own defaults are 451, 100s and 2 tries a second
// apart.
constexpr std::string_view kOptions = "default_action=DUNNO, timeout=2s, try_limit=1";
constexpr seconds kLongestTimeout{10};  // chosen, not measured

// A list of restrictions, and the states in which a rule of it can be asked about. With
// smtpd_delay_reject, which is Postfix's default, the first four are evaluated at RCPT.
struct List {
  const char* name;
  PolicyState state;
};
constexpr List kLists[] = {
    {"smtpd_client_restrictions", PolicyState::Connect},
    {"smtpd_helo_restrictions", PolicyState::Helo},
    {"smtpd_sender_restrictions", PolicyState::Mail},
    {"smtpd_relay_restrictions", PolicyState::Rcpt},
    {"smtpd_recipient_restrictions", PolicyState::Rcpt},
    {"smtpd_data_restrictions", PolicyState::Data},
    {"smtpd_end_of_data_restrictions", PolicyState::EndOfMessage},
};

// One place at which smtpd asks segmilter's policy service.
struct Asked {
  const List* list;
  MilterEntry entry;
  bool before_own;  // permit_mynetworks comes after it in the list
};

// Finds the places in a list and in the restriction classes that it names.
class Places {
 public:
  Places(const Patient& patient, const Service& smtpd)
      : patient_(patient), postfix_(*patient.postfix), smtpd_(smtpd) {
    for (const List& list : kLists) {
      std::set<std::string, std::less<>> seen;
      look(list.name, list, seen);
    }
  }
  const std::vector<Asked>& found() const { return found_; }

  bool is_ours(const MilterEntry& entry) const {
    return same_socket(entry.address, *patient_.config.policy_service.socket,
                       std::string(postfix_.value("queue_directory")));
  }

 private:
  // `seen`: a class may name itself.
  void look(std::string_view name, const List& list, std::set<std::string, std::less<>>& seen) {
    if (!seen.emplace(name).second) return;
    const auto words = parse_milters(postfix_.value(smtpd_, name));
    const auto classes = parse_milters(postfix_.value(smtpd_, "smtpd_restriction_classes"));
    const auto begin = found_.size();
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto& word = words[i].address;
      if (word == kWord && i + 1 < words.size() && is_ours(words[i + 1])) {
        found_.push_back({&list, words[++i], false});
      } else if (word == "permit_mynetworks") {
        for (auto at = begin; at < found_.size(); ++at) found_[at].before_own = true;
      } else if (std::any_of(classes.begin(), classes.end(),
                             [&](const auto& one) { return one.address == word; })) {
        look(word, list, seen);
      }
    }
  }

  const Patient& patient_;
  const Postfix& postfix_;
  const Service& smtpd_;
  std::vector<Asked> found_;
};

// The option of the entry, else main.cf's setting.
std::string option(const Patient& patient, const Service& smtpd, const MilterEntry& entry,
                   const std::string& name) {
  const auto own = entry.options.find(name);
  if (own != entry.options.end()) return own->second;
  return std::string(patient.postfix->value(smtpd, "smtpd_policy_service_" + name));
}

// segmilter's entry as it should be.
std::string good_entry(const Patient& patient) {
  return fmt::format("{} {{ {}, {} }}", kWord,
                     postfix_spelling(*patient.config.policy_service.socket,
                                      std::string(patient.postfix->value("queue_directory"))),
                     kOptions);
}

std::vector<std::string> set(const Patient& patient, std::string_view list,
                             const std::string& value) {
  return {patient.postconf("-e " + shell_word(fmt::format("{} = {}", list, value))),
          patient.postfix_command("reload")};
}

// The lines that put segmilter's entry into a list, at its end and once.
std::vector<std::string> mend_list(const Patient& patient, const Service& smtpd,
                                   std::string_view list) {
  const Places places(patient, smtpd);
  const auto words = parse_milters(patient.postfix->value(smtpd, list));
  std::string value;
  const auto add = [&value](const std::string& text) {
    value += (value.empty() ? "" : ", ") + text;
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool asks = words[i].address == kWord && i + 1 < words.size();
    if (asks && places.is_ours(words[i + 1])) {
      ++i;
    } else if (asks) {
      add(words[i].text + " " + words[i + 1].text);
      ++i;
    } else {
      add(words[i].text);
    }
  }
  const bool recipients = list == "smtpd_recipient_restrictions";
  if (value.empty())
    add(recipients ? "permit_mynetworks, reject_unauth_destination" : "permit_mynetworks");
  add(good_entry(patient));
  return set(patient, list, value);
}

void judge_place(const Patient& patient, const Service& smtpd, const Asked& asked,
                 Findings& findings) {
  const auto looked =
      fmt::format("{} of {}: {} {}", asked.list->name, smtpd.key(), kWord, asked.entry.text);
  const auto complain = [&](std::string what) {
    findings.push_back(warn(looked, std::move(what), mend_list(patient, smtpd, asked.list->name)));
  };
  const auto action = option(patient, smtpd, asked.entry, "default_action");
  if (!text::same(action, "DUNNO")) {
    complain(
        fmt::format("default_action is \"{}\": Postfix accepts no mail while segmilter's "
                    "filter is down",
                    action));
  }
  const auto timeout = parse_time(option(patient, smtpd, asked.entry, "timeout"));
  if (!timeout || *timeout > kLongestTimeout) {
    complain(fmt::format("timeout is {}: every client waits that long if the filter hangs",
                         option(patient, smtpd, asked.entry, "timeout")));
  }
  const auto tries = text::number<unsigned>(option(patient, smtpd, asked.entry, "try_limit"));
  if (!tries || *tries > 1) {
    complain(fmt::format("try_limit is {}: while the filter is down, each question takes {} longer",
                         option(patient, smtpd, asked.entry, "try_limit"),
                         option(patient, smtpd, asked.entry, "retry_delay")));
  }
  if (asked.before_own) {
    complain("Postfix asks before permit_mynetworks: this site's own hosts are judged as well");
  }
}

// In which states does Postfix ask?
std::uint32_t states_of(const std::vector<Asked>& places, bool delayed) {
  std::uint32_t states = 0;
  for (const Asked& asked : places) {
    const auto state = asked.list->state;
    states |= bit_of(delayed && state < PolicyState::Rcpt ? PolicyState::Rcpt : state);
  }
  return states;
}

std::string_view list_for(std::uint32_t states) {
  for (const List& list : kLists) {
    const bool relays = std::string_view(list.name) == "smtpd_relay_restrictions";
    if (!relays && (states & bit_of(list.state)) != 0) return list.name;
  }
  return "smtpd_recipient_restrictions";
}

void judge_rules(const Patient& patient, const Service& smtpd, const std::vector<Asked>& places,
                 Findings& findings) {
  const bool delayed = patient.postfix->value(smtpd, "smtpd_delay_reject") != "no";
  const auto states = states_of(places, delayed);
  std::set<std::string_view> told;
  unsigned number = 0;
  for (const auto& rule : patient.config.policy_service.rules) {
    ++number;
    if (rule.states == 0 || (rule.states & states) != 0) continue;
    const auto list = list_for(rule.states);
    const bool never = delayed && (rule.states & ~bit_of(PolicyState::Connect) &
                                   ~bit_of(PolicyState::Helo) & ~bit_of(PolicyState::Mail)) == 0;
    if (!told.insert(list).second) continue;
    findings.push_back(warn(
        fmt::format("rule {} of policy_service, {} of {}", number, list, smtpd.key()),
        never ? fmt::format("rule {} never holds: with smtpd_delay_reject Postfix asks at RCPT",
                            number)
              : fmt::format("rule {} never holds: Postfix does not ask in its state", number),
        never ? std::vector<std::string>{} : mend_list(patient, smtpd, list)));
  }
}

// --- the socket, as Postfix's user ---------------------------------------------------------------

constexpr int kAnswers = 0;
constexpr int kSilent = 200;
constexpr int kStranger = 201;

// A state in which nothing is ever answered, so the question counts for nothing.
int talk(const std::string& path) {
  constexpr std::string_view kQuestion = "request=smtpd_access_policy\nprotocol_state=VRFY\n\n";
  constexpr std::string_view kAnswer = "action=DUNNO\n\n";
  const net::Fd fd = net::connect_unix(path, seconds(2));
  if (!fd) return errno;
  if (send(fd.get(), kQuestion.data(), kQuestion.size(), MSG_NOSIGNAL) < 0) return errno;
  pollfd entry{fd.get(), POLLIN, 0};
  constexpr int kWaitMs = 3000;
  if (poll(&entry, 1, kWaitMs) != 1) return kSilent;
  char answer[kAnswer.size()];
  const ssize_t got = recv(fd.get(), answer, sizeof answer, MSG_WAITALL | MSG_DONTWAIT);
  return got > 0 && std::string_view(answer, static_cast<std::size_t>(got)) == kAnswer ? kAnswers
                                                                                       : kStranger;
}

}  // namespace

Findings check_policy_service(const Patient& patient) {
  Findings findings;
  if (!patient.config.policy_service.socket) return findings;
  for (const Service* entry : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*entry);
    if (smtpd == nullptr) continue;
    const auto before = findings.size();
    const Places places(patient, *smtpd);
    if (places.found().empty()) {
      findings.push_back(fail(
          fmt::format("the restrictions of {}", smtpd->key()),
          fmt::format("no {} names policy_service.socket ({}): Postfix does not ask, and no rule "
                      "is used",
                      kWord, patient.config.policy_service.socket->print()),
          mend_list(patient, *smtpd, "smtpd_recipient_restrictions")));
      continue;
    }
    for (const Asked& asked : places.found()) judge_place(patient, *smtpd, asked, findings);
    judge_rules(patient, *smtpd, places.found(), findings);
    if (findings.size() != before) continue;
    findings.push_back(ok(fmt::format(
        "{}: Postfix asks the policy service at {} place{}, and accepts mail while it is down",
        smtpd->key(), places.found().size(), places.found().size() == 1 ? "" : "s")));
  }
  return findings;
}

Findings check_policy_socket(const Patient& patient) {
  const auto& socket = patient.config.policy_service.socket;
  if (!socket || !socket->is_unix()) return {};
  const auto looked = "policy_service.socket " + socket->print();
  if (auto reason = cannot_be_postfix(patient, looked)) return {std::move(*reason)};
  const auto account = find_account(std::string(patient.postfix->value("mail_owner")));
  if (!account) return {skip(looked, "there is no user for Postfix (mail_owner)")};
  const std::string queue(patient.postfix->value("queue_directory"));
  Place place{{}, queue};
  std::string path = socket->path;
  for (const Service* entry : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*entry);
    if (smtpd == nullptr || !patient.postfix->chrooted(*smtpd)) continue;
    place = {queue, "/"};
    if (path.starts_with(queue + "/")) path.erase(0, queue.size() + 1);
    break;
  }
  constexpr seconds kLimit{5};
  const auto error = as_user(*account, place, kLimit, [&] { return talk(path); });
  const std::vector<std::string> restart = {kRestart};
  if (error == kAnswers) return {ok(fmt::format("{} reaches the policy service", account->name))};
  if (!error || error == kSilent || error == EAGAIN) {
    return {fail(looked, "the policy service does not answer: the filter hangs", restart)};
  }
  if (error == kStranger) {
    return {fail(looked, "the program that answers there is not a policy service")};
  }
  return {fail(looked,
               fmt::format("{} cannot ask at {}: {}", account->name, path, std::strerror(*error)),
               restart)};
}

}  // namespace doctor
