// One row for each setting: key, member, kind of value with its range. The defaults are in
// config.h. Explanations for administrators are in packaging/segmilter.toml and segmilter.toml(5).
#include "milter/config/settings.h"

#include "classifier/signs.h"
#include "milter/config/rule_value.h"
#include "milter/config/value.h"

namespace config {
namespace {

using namespace std::chrono_literals;

constexpr auto kRestart = Change::AtRestart;

// `access` returns the member of a Target, const or not. It is a generic lambda and not a member
// pointer, because weights are in an array two structs down.
template <typename Target = Config, typename Access, typename Kind>
BasicSetting<Target> row(std::string_view key, Access access, Kind kind,
                         Change change = Change::AtReload) {
  BasicSetting<Target> setting;
  setting.key = key;
  setting.change = change;
  setting.read = [=](const toml::node& node, Target& target) {
    auto& member = access(target);
    member = static_cast<std::decay_t<decltype(member)>>(kind.read(node));
  };
  setting.print = [=](const Target& target) {
    return kind.print(static_cast<typename Kind::Value>(access(target)));
  };
  setting.copy = [=](const Target& from, Target& to) { access(to) = access(from); };
  return setting;
}

// Builds the rows of one section: In{&Config::proxy}("workers", &Proxy::workers, Number{0, 64}).
template <typename Part>
struct In {
  Part Config::*part;

  template <typename T, typename Kind>
  Setting operator()(std::string_view key, T Part::*member, Kind kind,
                     Change change = Change::AtReload) const {
    const auto access = [ part = part, member ](auto& config) -> auto& {
      return (config.*part).*member;
    };
    return row(key, access, kind, change);
  }
};

Duration<seconds> whole_seconds(seconds min, seconds max) {
  return {min, max};
}

// clang-format off
std::vector<Setting> general() {
  const In<General> in{&Config::general};
  return {
      in("hostname", &General::hostname, Text{R"("mx1.example.org")", check_host}),
      in("user", &General::user, Text{R"("segmilter")", check_account}, kRestart),
      in("group", &General::group, Text{R"("segmilter")", check_account_or_empty}, kRestart),
      in("seccomp", &General::seccomp, Flag{}, kRestart),
  };
}

std::vector<Setting> log() {
  const In<Log> in{&Config::log};
  return {
      in("target", &Log::target, Choice<Log::Target>{{"stderr", "syslog"}}, kRestart),
      in("format", &Log::format, Choice<Log::Format>{{"text", "json"}}, kRestart),
      in("level", &Log::level, OneOf{{"error", "warning", "info", "debug"}}, kRestart),
  };
}

std::vector<Setting> proxy() {
  const In<Proxy> in{&Config::proxy};
  return {
      in("listen", &Proxy::listen, Endpoints{}, kRestart),
      in("tproxy_ports", &Proxy::tproxy_ports, Ports{Proxy::kMostTproxyPorts}, kRestart),
      in("tproxy_mark", &Proxy::tproxy_mark, Number{1, 0x7fff'ffff}, kRestart),
      // Both wait for a restart: one without the other would speak to Postfix in a way that it does
      // not expect, and "transparent" needs what is opened with rights.
      in("upstream", &Proxy::upstream, OneEndpoint{}, kRestart),
      in("upstream_protocol", &Proxy::upstream_protocol,
         Choice<Proxy::Protocol>{{"proxy-v1", "proxy-v2", "transparent"}}, kRestart),
      in("balancers", &Proxy::balancers, Networks{}),
      in("balancer_transparent", &Proxy::balancer_transparent, Flag{}),
      in("balancer_timeout", &Proxy::balancer_timeout, whole_seconds(1s, 5min)),
      in("workers", &Proxy::workers, Number{0, 64}, kRestart),
      in("max_sessions", &Proxy::max_sessions, Number{1, 1'000'000}),
      in("max_sessions_per_address", &Proxy::max_sessions_per_address, Number{1, 1'000'000}),
      in("max_sessions_per_network", &Proxy::max_sessions_per_network, Number{0, 1'000'000}),
      in("max_rate_per_address", &Proxy::max_rate_per_address, Number{0, 1'000'000}),
      in("connect_timeout", &Proxy::connect_timeout, whole_seconds(1s, 5min)),
      in("idle_timeout", &Proxy::idle_timeout, whole_seconds(1s, 1h)),
      in("answer_timeout", &Proxy::answer_timeout, whole_seconds(1s, 24h)),
      in("drain_timeout", &Proxy::drain_timeout, whole_seconds(0s, 1h)),
      in("drain_answer_timeout", &Proxy::drain_answer_timeout, whole_seconds(0s, 1h)),
      in("buffer_bytes", &Proxy::buffer_bytes, Size{4 << 10, 16 << 20}),
  };
}

std::vector<Setting> capture() {
  const In<Capture> in{&Config::capture};
  return {
      in("method", &Capture::method,
         Choice<Capture::Method>{{"auto", "kernel", "read", "off"}}, kRestart),
      in("ring_bytes", &Capture::ring_bytes, Size{4 << 10, 1 << 30, /*power_of_two=*/true},
         kRestart),
      in("max_segments", &Capture::max_segments, Number{16, 16'384}),
      in("max_session_time", &Capture::max_session_time, whole_seconds(1s, 24h)),
  };
}

std::vector<Setting> wire() {
  const In<Wire> in{&Config::wire};
  return {
      in("ports", &Wire::ports, Ports{Wire::kMostPorts}, kRestart),
      in("interface", &Wire::interface, Text{R"("eth0")", check_interface_or_empty}, kRestart),
      in("max_sessions", &Wire::max_sessions, Number{1, 1'000'000}, kRestart),
  };
}

std::vector<Setting> evidence() {
  const In<Evidence> in{&Config::evidence};
  return {
      in("socket", &Evidence::socket,
         Text{R"("/run/segmilter/evidence.sock")", check_socket_path}, kRestart),
      in("socket_mode", &Evidence::socket_mode, FileMode{}, kRestart),
      in("linger", &Evidence::linger, whole_seconds(1s, 1h), kRestart),
      in("max_sessions", &Evidence::max_sessions, Number{1, 10'000'000}, kRestart),
      in("max_bytes", &Evidence::max_bytes, Size{64 << 10, 1LL << 40}, kRestart),
  };
}

std::vector<Setting> filter() {
  const In<Filter> in{&Config::filter};
  return {
      in("socket", &Filter::socket, MilterSocketText{}, kRestart),
      in("socket_mode", &Filter::socket_mode, FileMode{}, kRestart),
      in("socket_group", &Filter::socket_group, Text{R"("postfix")", check_account_or_empty},
         kRestart),
      in("evidence_timeout", &Filter::evidence_timeout, Duration<milliseconds>{1ms, 10s}),
      in("timeout", &Filter::timeout, whole_seconds(1s, 24h), kRestart),
      in("count_body", &Filter::count_body, Flag{}),
      in("max_in_flight", &Filter::max_in_flight, Number{1, 100'000}),
  };
}

std::vector<Setting> header() {
  const In<Header> in{&Config::header};
  return {
      in("index", &Header::index, Number{0, 50}),
      in("max_runs", &Header::max_runs, Number{1, 1000}),
  };
}

std::vector<Setting> exempt() {
  const In<Exempt> in{&Config::exempt};
  return {
      in("authenticated", &Exempt::authenticated, Flag{}),
      in("loopback", &Exempt::loopback, Flag{}),
      in("networks", &Exempt::networks, Networks{}),
      in("ptr_suffixes", &Exempt::ptr_suffixes, Suffixes{}),
      in("helo_suffixes", &Exempt::helo_suffixes, Suffixes{}),
  };
}

std::vector<Setting> reply() {
  const In<Reply> in{&Config::reply};
  return {
      in("tempfail", &Reply::tempfail, Text{R"("4.7.1 Try again later")", check_tempfail}),
      in("reject", &Reply::reject, Text{R"("5.7.1 Refused")", check_reject}),
      in("quarantine", &Reply::quarantine, Text{R"("held by segmilter")", check_note}),
  };
}

std::vector<Setting> policy() {
  using classifier::Policy;
  const In<Policy> in{&Config::policy};
  const In<Enforcement> enforcement{&Config::enforcement};
  const Threshold threshold{-1000, 1000};
  const Number percent{0, 100};
  const Choice<Enforcement::Fallback> fallback{{"none", "tempfail"}};
  return {
      enforcement("mode", &Enforcement::mode, Choice<Enforcement::Mode>{{"monitor", "enforce"}}),
      in("tempfail", &Policy::tempfail, threshold),
      in("quarantine", &Policy::quarantine, threshold),
      in("reject", &Policy::reject, threshold),
      in("min_confidence", &Policy::min_confidence, Real{0, 1}),
      enforcement("tempfail_percent", &Enforcement::tempfail_percent, percent),
      enforcement("quarantine_percent", &Enforcement::quarantine_percent, percent),
      enforcement("reject_percent", &Enforcement::reject_percent, percent),
      enforcement("percent_key", &Enforcement::percent_key, Text{R"("our-mx")", check_word_or_empty}),
      enforcement("on_unobserved", &Enforcement::on_unobserved, fallback),
      enforcement("on_error", &Enforcement::on_error, fallback),
  };
}

std::vector<Setting> breaker() {
  const In<Breaker> in{&Config::breaker};
  return {
      in("enabled", &Breaker::enabled, Flag{}),
      in("window", &Breaker::window, whole_seconds(1s, 1h)),
      in("min_messages", &Breaker::min_messages, Number{1, 1'000'000}),
      in("max_per_address", &Breaker::max_per_address, Number{1, 1'000'000}),
      in("max_share", &Breaker::max_share, Real{0, 1}),
      in("jump", &Breaker::jump, Threshold{1, 1000}),
      in("hold", &Breaker::hold, whole_seconds(1s, 24h)),
  };
}

std::vector<Setting> seal() {
  const In<Seal> in{&Config::seal};
  return {
      in("key_file", &Seal::key_file, Text{R"("/etc/segmilter/seal.keys")", check_file_or_empty}),
      in("sign", &Seal::sign, Flag{}),
      in("believe_from", &Seal::believe_from, Networks{}),
      in("max_age", &Seal::max_age, whole_seconds(1s, 720h)),
  };
}

std::vector<Setting> memory() {
  const In<Memory> in{&Config::memory};
  const Size bytes{1 << 20, 1LL << 50};
  return {
      in("enabled", &Memory::enabled, Flag{}, kRestart),
      in("folder", &Memory::folder, Text{R"("/var/lib/segmilter")", check_folder}, kRestart),
      in("max_days", &Memory::max_days, Number{1, 3650}),
      in("max_bytes", &Memory::max_bytes, bytes),
      in("min_free", &Memory::min_free, Size{0, 1LL << 50}),
      in("addresses", &Memory::addresses, Choice<Memory::Addresses>{{"full", "truncated", "keyed"}}),
      in("key_file", &Memory::key_file, Text{R"("/etc/segmilter/memory.key")", check_file_or_empty}),
  };
}

std::vector<Setting> reputation() {
  const In<Reputation> in{&Config::reputation};
  return {
      in("enabled", &Reputation::enabled, Flag{}),
      in("most", &Reputation::most, Real{0, 20}),
      in("least", &Reputation::least, Real{-20, 0}),
      in("networks", &Reputation::networks, Files{}),
  };
}

std::vector<Setting> policy_service() {
  const In<PolicyService> in{&Config::policy_service};
  return {
      in("socket", &PolicyService::socket, Optional<MilterSocketText>{}, kRestart),
      in("max_connections", &PolicyService::max_connections, Number{1, 100'000}),
      in("idle_timeout", &PolicyService::idle_timeout, whole_seconds(1s, 24h)),
      in("greylist_after", &PolicyService::greylist_after, whole_seconds(1s, 24h)),
      in("greylist_until", &PolicyService::greylist_until, whole_seconds(1s, 720h)),
      in("greylist_keep", &PolicyService::greylist_keep, whole_seconds(1s, 8760h)),
  };
}

std::vector<Setting> desk() {
  const In<Desk> in{&Config::desk};
  return {
      in("listen", &Desk::listen, Endpoints{}, kRestart),
      in("socket", &Desk::socket, Text{R"("/run/segmilter/desk.sock")", check_socket_path_or_empty},
         kRestart),
      in("socket_mode", &Desk::socket_mode, FileMode{}, kRestart),
      in("hosts", &Desk::hosts, Hosts{}),
      in("open", &Desk::open, Flag{}, kRestart),
  };
}

std::vector<Setting> gaits() {
  const In<Gaits> in{&Config::gaits};
  return {
      in("files", &Gaits::files, Files{}),
  };
}
// clang-format on

// One weight for each sign: the patterns under the names that the header shows, and all other
// signs.
std::vector<Setting> weights() {
  const Real log_odds{-20, 20};
  std::vector<Setting> settings;
  for (const classifier::Sign& sign : classifier::kSigns) {
    const auto access = [&sign](auto& config) -> auto& {
      return sign.weight(config.policy.weights);
    };
    settings.push_back(row(sign.key, access, log_odds));
  }
  return settings;
}

}  // namespace

const std::vector<BasicSetting<Listener>>& listener_settings() {
  const auto in = [](std::string_view key, auto member, auto kind) {
    const auto access = [member](auto& listener) -> auto& {
      return listener.*member;
    };
    return row<Listener>(key, access, kind);
  };
  const Optional<Threshold> threshold{{-1000, 1000}};
  static const std::vector<BasicSetting<Listener>> all = {
      in("port", &Listener::port, Number{0, 65535}),
      in("mode", &Listener::mode, Optional<Choice<Enforcement::Mode>>{{{"monitor", "enforce"}}}),
      in("tempfail", &Listener::tempfail, threshold),
      in("quarantine", &Listener::quarantine, threshold),
      in("reject", &Listener::reject, threshold),
  };
  return all;
}

const std::vector<BasicSetting<PolicyRule>>& policy_rule_settings() {
  const auto in = [](std::string_view key, auto member, auto kind) {
    const auto access = [member](auto& rule) -> auto& {
      return rule.*member;
    };
    return row<PolicyRule>(key, access, kind);
  };
  static const std::vector<BasicSetting<PolicyRule>> all = {
      in("state", &PolicyRule::states, WordBits{R"("RCPT")", state_bit, print_states}),
      in("reputation", &PolicyRule::reputation, Optional<Real>{{-20, 20}}),
      in("access", &PolicyRule::access, WordBits{R"("cellular")", access_bit, print_access}),
      in("talk", &PolicyRule::talk, WordBits{R"("early")", talk_bit, print_talk}),
      in("pattern", &PolicyRule::patterns,
         WordBits{R"("bot-template")", pattern_bit, print_patterns}),
      in("score", &PolicyRule::score, Optional<Real>{{-1000, 1000}}),
      in("listener", &PolicyRule::listeners, ListenerNames{}),
      in("network", &PolicyRule::networks, Networks{}),
      in("greylist", &PolicyRule::greylist, Flag{}),
      in("answer", &PolicyRule::answer, Answer{}),
  };
  return all;
}

const std::vector<Section>& sections() {
  static const std::vector<Section> all = {
      {"general", general()},
      {"log", log()},
      {"proxy", proxy()},
      {"capture", capture()},
      {"wire", wire()},
      {"evidence", evidence()},
      {"filter", filter()},
      {"header", header()},
      {"exempt", exempt()},
      {"reply", reply()},
      {"policy", policy()},
      {"weights", weights()},
      {"breaker", breaker()},
      {"seal", seal()},
      {"memory", memory()},
      {"reputation", reputation()},
      {"desk", desk()},
      {"gaits", gaits()},
      {kPolicyService, policy_service()},
  };
  return all;
}

}  // namespace config
