// Which side closes a session first? The proxy must not give up before Postfix does: not while the
// client is silent, and not while Postfix waits for a milter or a policy service before it replies.
// These checks only compare settings.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "text/number.h"

#include "milter/doctor/check.h"

namespace doctor {
namespace {

using std::chrono::seconds;

// How long a client waits for the reply to its message (RFC 5321, 4.5.3.2.6).
constexpr seconds kClientsPatience{600};

// All that Postfix may wait for before it sends one reply.
struct Work {
  const char* stage;  // the reply: "RCPT", "the end of a message"
  std::string parts;  // "2 milters 600 s, 1 policy service 201 s"
  seconds time{0};

  void add(std::size_t count, const char* what, seconds more) {
    if (count == 0) return;
    parts += fmt::format("{}{} {}{} {} s", parts.empty() ? "" : ", ", count, what,
                         count == 1 ? "" : "s", more.count());
    time += more;
  }
};

class Settings {
 public:
  Settings(const Postfix& postfix, const Service& smtpd) : postfix_(postfix), smtpd_(smtpd) {}

  std::string_view text(std::string_view name) const { return postfix_.value(smtpd_, name); }
  // `fallback`: Postfix's default, used if the value is not a plain time.
  seconds time(std::string_view name, seconds fallback) const {
    return parse_time(text(name)).value_or(fallback);
  }
  std::size_t number(std::string_view name, std::size_t fallback) const {
    return read(text(name)).value_or(fallback);
  }
  static std::optional<std::size_t> read(std::string_view text) {
    return text::number<std::size_t>(text);
  }

 private:
  const Postfix& postfix_;
  const Service& smtpd_;
};

// --- policy services ----------------------------------------------------------------------------

// The longest time of one call to a policy service, with its retries.
seconds policy_time(const Settings& settings, const MilterEntry& service) {
  const auto option = [&](const char* name) -> std::string_view {
    const auto found = service.options.find(name);
    return found != service.options.end() ? std::string_view(found->second) : std::string_view();
  };
  const auto timeout = parse_time(option("timeout"))
                           .value_or(settings.time("smtpd_policy_service_timeout", seconds(100)));
  const auto pause = parse_time(option("retry_delay"))
                         .value_or(settings.time("smtpd_policy_service_retry_delay", seconds(1)));
  const std::size_t tries =
      std::max<std::size_t>(1, Settings::read(option("try_limit"))
                                   .value_or(settings.number("smtpd_policy_service_try_limit", 2)));
  return timeout * tries + pause * (tries - 1);
}

struct Policies {
  std::size_t count = 0;
  seconds time{0};
};

// Adds the policy services of a list of restrictions and of the restriction classes that it names.
// `seen` holds the lists that were already read, because a class may name itself.
void add_policies(const Settings& settings, std::string_view list,
                  std::set<std::string, std::less<>>& seen, Policies& policies) {
  if (!seen.emplace(list).second) return;
  // A restriction has the same syntax as a milter: "{ unix:private/policy, timeout=10s }".
  const auto words = parse_milters(settings.text(list));
  const auto classes = parse_milters(settings.text("smtpd_restriction_classes"));
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i].address;
    if (word == "check_policy_service" && i + 1 < words.size()) {
      ++policies.count;
      policies.time += policy_time(settings, words[++i]);
      continue;
    }
    const bool is_class = std::any_of(classes.begin(), classes.end(),
                                      [&](const auto& entry) { return entry.address == word; });
    if (is_class) add_policies(settings, word, seen, policies);
  }
}

Policies policies_of(const Settings& settings, std::initializer_list<const char*> lists) {
  Policies policies;
  std::set<std::string, std::less<>> seen;
  for (const char* list : lists) add_policies(settings, list, seen, policies);
  return policies;
}

// --- the stages of a session --------------------------------------------------------------------

// The longest time of all milters together. Postfix asks them one after the other; `option` is the
// time limit that applies to the event.
seconds milters_time(const Settings& settings, const std::vector<MilterEntry>& milters,
                     const char* option, seconds fallback) {
  const auto common = settings.time(fmt::format("milter_{}", option), fallback);
  seconds sum{0};
  for (const auto& milter : milters) {
    const auto own = milter.options.find(option);
    const auto time = own != milter.options.end() ? parse_time(own->second) : std::nullopt;
    sum += time.value_or(common);
  }
  return sum;
}

// Postfix connects to the milters before it sends its greeting. It evaluates the restrictions of
// client, HELO and MAIL at RCPT (smtpd_delay_reject). It shows milters a message when it has all of
// it.
Work longest_work(const Settings& settings) {
  const auto milters = parse_milters(settings.text("smtpd_milters"));
  const auto command = milters_time(settings, milters, "command_timeout", seconds(30));
  Work greeting{"the greeting", {}};
  greeting.add(milters.size(), "milter",
               milters_time(settings, milters, "connect_timeout", seconds(30)) + 2 * command);
  Work recipient{"RCPT", {}};
  recipient.add(milters.size(), "milter", command);
  const auto early = policies_of(settings, {"smtpd_client_restrictions", "smtpd_helo_restrictions",
                                            "smtpd_sender_restrictions", "smtpd_relay_restrictions",
                                            "smtpd_recipient_restrictions"});
  recipient.add(early.count, "policy service", early.time);
  Work message{"the end of a message", {}};
  message.add(milters.size(), "milter",
              milters_time(settings, milters, "content_timeout", seconds(300)));
  const auto late = policies_of(settings, {"smtpd_end_of_data_restrictions"});
  message.add(late.count, "policy service", late.time);
  const bool filtered = !settings.text("smtpd_proxy_filter").empty();
  message.add(filtered ? 1 : 0, "smtpd_proxy_filter",
              settings.time("smtpd_proxy_timeout", seconds(100)));
  return std::max({greeting, recipient, message},
                  [](const Work& one, const Work& two) { return one.time < two.time; });
}

// --- findings -----------------------------------------------------------------------------------

Finding judge_silence(const Patient& patient, const Service& smtpd) {
  const auto idle = patient.config.proxy.idle_timeout;
  const auto value = patient.postfix->value(smtpd, "smtpd_timeout");
  const auto limit = parse_time(value);
  if (!limit) {
    return skip(fmt::format("smtpd_timeout of {}", smtpd.key()),
                fmt::format("\"{}\" is not a plain time, so it cannot be compared", value));
  }
  if (idle >= *limit) {
    return ok(
        fmt::format("Postfix closes silent sessions first (smtpd_timeout {}, "
                    "proxy.idle_timeout {} s)",
                    value, idle.count()));
  }
  return warn(fmt::format("proxy.idle_timeout {} s, smtpd_timeout of {}: {}", idle.count(),
                          smtpd.key(), value),
              "the proxy hangs up before Postfix would: slow but legitimate clients lose their "
              "connection",
              {}, fmt::format("[proxy] idle_timeout = \"{}s\"", limit->count() + 30));
}

// answer_timeout also limits the client's silence where the proxy cannot know whose turn it is
// (under TLS, for example). So it must not be shorter than smtpd_timeout either.
Finding judge_answers(const Patient& patient, const Service& smtpd) {
  constexpr seconds kSpare{30};
  const Settings settings(*patient.postfix, smtpd);
  const auto work = longest_work(settings);
  const auto needed =
      std::max({work.time, settings.time("smtpd_timeout", seconds(300)), kClientsPatience});
  const auto limit = patient.config.proxy.answer_timeout;
  const auto what = work.parts.empty() ? "it asks no milter and no policy service"
                                       : fmt::format("for {}: {}", work.stage, work.parts);
  const auto text =
      fmt::format("Postfix may take {} s for a reply ({}), proxy.answer_timeout is {} s",
                  work.time.count(), what, limit.count());
  if (limit >= needed) return ok(text);
  return warn(
      fmt::format("{}, smtpd_timeout of {}: {}", text, smtpd.key(), settings.text("smtpd_timeout")),
      fmt::format("the proxy hangs up while Postfix may still be busy, or before the {} s that a "
                  "client waits for a reply: the client then sends the message again, and it "
                  "arrives twice",
                  kClientsPatience.count()),
      {}, fmt::format("[proxy] answer_timeout = \"{}s\"", (needed + kSpare).count()));
}

}  // namespace

Findings check_timeouts(const Patient& patient) {
  Findings findings;
  if (!has_proxy(patient)) return findings;
  for (const Service* entry : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*entry);
    if (smtpd == nullptr) continue;
    findings.push_back(judge_silence(patient, *smtpd));
    findings.push_back(judge_answers(patient, *smtpd));
  }
  return findings;
}

}  // namespace doctor
