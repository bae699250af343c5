// Tests the counters of all processes: each counter is described, and the metrics page has all of
// them under their names.
#include "milter/supervisor/counts.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/load.h"
#include "milter/desk/metrics.h"
#include "milter/supervisor/children.h"

using supervisor::Counts;

namespace {

config::Config with_proxy() {
  config::Config config;
  config.proxy.listen = {*net::Endpoint::parse("127.0.0.1:25")};
  return config;
}

std::string page(const Counts& counts, const config::Config& config) {
  return desk::metrics(describe(counts, config));
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

// What the page says of each sample: "segmilter_breaker_open" → "1".
std::map<std::string, std::string> samples(const Counts& counts, const config::Config& config) {
  std::map<std::string, std::string> found;
  for (const auto& line : lines(page(counts, config))) {
    if (line.starts_with('#')) continue;
    const auto blank = line.rfind(' ');
    INFO(line);
    // each name occurs once
    CHECK(found.emplace(line.substr(0, blank), line.substr(blank + 1)).second);
  }
  return found;
}

// Whether each counter in `counts` is in `families` exactly once. A struct of counters has no other
// members, so their number follows from its size.
template <typename Counters>
void check_all_described(const Counters& counts, const process::Families& families) {
  const auto* begin = reinterpret_cast<const process::Count*>(&counts);
  const auto* end = reinterpret_cast<const process::Count*>(&counts + 1);
  std::set<const process::Count*> described;
  for (const auto& family : families) {
    INFO(family.name);
    for (const auto& sample : family.samples) {
      CHECK((sample.count >= begin && sample.count < end));
      CHECK(described.insert(sample.count).second);
    }
  }
  CHECK(described.size() == sizeof counts / sizeof(process::Count));
}

}  // namespace

TEST_CASE("each counter is described once") {
  const Counts counts{};
  check_all_described(counts.proxy, describe(counts.proxy));
  check_all_described(counts.wire, describe(counts.wire));
  auto filter = describe(counts.filter);
  for (auto& family : describe(counts.filter.policy_service)) filter.push_back(std::move(family));
  check_all_described(counts.filter, filter);
}

TEST_CASE("each family begins with its help and its type, once, and its samples follow") {
  const Counts counts{};
  const std::string text = page(counts, with_proxy());
  REQUIRE(text.ends_with('\n'));
  std::set<std::string> families;
  std::string family;
  unsigned samples = 1;
  bool typed = true;
  for (const auto& line : lines(text)) {
    INFO(line);
    std::istringstream stream(line);
    if (line.starts_with("# HELP ")) {
      CHECK((typed && samples > 0));  // the previous family
      stream.ignore(7) >> family;
      CHECK(family.starts_with("segmilter_"));
      CHECK(family.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == family.npos);
      CHECK(families.insert(family).second);
      CHECK(line.ends_with('.'));
      CHECK(line.size() > family.size() + 12);
      typed = false;
      samples = 0;
    } else if (line.starts_with("# TYPE ")) {
      std::string name;
      std::string type;
      stream.ignore(7) >> name >> type;
      CHECK(name == family);
      CHECK(type == (family.ends_with("_total") ? "counter" : "gauge"));
      typed = true;
    } else {
      std::string sample;
      std::uint64_t number = 0;
      REQUIRE(stream >> sample >> number);
      CHECK(stream.peek() == std::istringstream::traits_type::eof());
      const auto label = sample.substr(family.size());
      CHECK(sample.starts_with(family));
      CHECK((label.empty() || (label.starts_with('{') && label.ends_with("\"}"))));
      ++samples;
    }
  }
  CHECK(families.size() > 25);
}

TEST_CASE("each count is shown under its name") {
  Counts counts;
  supervisor::counters_of(supervisor::child_kind("filter"), counts).serves = true;
  supervisor::counters_of(supervisor::child_kind("filter"), counts).starts = 3;
  counts.supervisor.reloads_refused = 2;
  counts.proxy.sessions = 7;
  counts.proxy.refused_rate = 8;
  counts.proxy.overload_memory = 9;
  counts.proxy.evidence.bytes = 1 << 20;
  counts.filter.messages = 100;
  counts.filter.pattern[static_cast<std::size_t>(classifier::Pattern::BotTemplate)] = 40;
  counts.filter.reject = 11;
  counts.filter.held_breaker = 12;
  counts.filter.breaker_open = true;
  counts.filter.breaker_trips = 13;
  auto told = samples(counts, with_proxy());
  const std::pair<const char*, const char*> expected[] = {
      {"segmilter_process_serving{process=\"filter\"}", "1"},
      {"segmilter_process_serving{process=\"proxy\"}", "0"},
      {"segmilter_process_starts_total{process=\"filter\"}", "3"},
      {"segmilter_reloads_total{result=\"refused\"}", "2"},
      {"segmilter_proxy_sessions", "7"},
      {"segmilter_proxy_refused_total{limit=\"max_rate_per_address\"}", "8"},
      {"segmilter_proxy_overload_total{short_of=\"memory\"}", "9"},
      {"segmilter_evidence_bytes", "1048576"},
      {"segmilter_messages_total", "100"},
      {"segmilter_patterns_total{pattern=\"bot-template\"}", "40"},
      {"segmilter_patterns_total{pattern=\"mobile\"}", "0"},
      {"segmilter_actions_total{action=\"reject\"}", "11"},
      {"segmilter_actions_held_total{by=\"breaker\"}", "12"},
      {"segmilter_breaker_open", "1"},
      {"segmilter_breaker_trips_total", "13"},
  };
  for (const auto& [name, value] : expected) {
    INFO(name);
    CHECK(told[name] == value);
  }
}

TEST_CASE("a process that is not started is not on the page") {
  config::Config wire;
  wire.wire.ports = {25};
  const auto of_wire = samples({}, wire);
  CHECK(of_wire.contains("segmilter_wire_ring_full_total"));
  CHECK(of_wire.contains("segmilter_evidence_sessions"));
  CHECK_FALSE(of_wire.contains("segmilter_proxy_sessions"));
  CHECK_FALSE(of_wire.contains("segmilter_process_serving{process=\"proxy\"}"));
  const auto of_proxy = samples({}, with_proxy());
  CHECK(of_proxy.contains("segmilter_proxy_sessions"));
  CHECK_FALSE(of_proxy.contains("segmilter_wire_ring_full_total"));
}

TEST_CASE("the list of examples/monitoring has each metric, and no other") {
  config::Config wire;
  wire.wire.ports = {25};
  std::set<std::string> metrics;
  auto proxy = with_proxy();
  proxy.policy_service.socket = proxy.filter.socket;
  for (const auto& config : {proxy, wire}) {
    for (const auto& line : lines(page({}, config))) {
      constexpr std::string_view kType = "# TYPE segmilter_";
      if (!line.starts_with(kType)) continue;
      metrics.insert(line.substr(kType.size(), line.rfind(' ') - kType.size()));
    }
  }
  // The first column of the table has the names, each between backquotes.
  std::set<std::string> listed;
  for (const auto& line : lines(config::read_file("examples/monitoring/README.md"))) {
    std::istringstream names(line.substr(0, line.find('|', 1)));
    if (!line.starts_with("| `")) continue;
    for (std::string text; std::getline(names, text, '`') && std::getline(names, text, '`');) {
      if (text.find('.') == text.npos) listed.insert(text);  // else it is a file
    }
  }
  CHECK(listed == metrics);
}

TEST_CASE("the parent sees what a child counts, also after the child's end") {
  const auto counts = supervisor::share_counts();
  CHECK(counts->filter.messages == 0);
  for (int life = 1; life <= 2; ++life) {
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      counts->filter.messages += 5;
      _exit(0);
    }
    int status = -1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK(counts->filter.messages == 5U * life);
  }
}
