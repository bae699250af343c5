// Walks through a TOML document with the table of settings.h. Reading stops at the first error: an
// administrator fixes one line at a time.
#include "milter/config/load.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>

#include "milter/config/checks.h"
#include "milter/config/not_toml.h"
#include "milter/config/settings.h"
#include "milter/config/source.h"
#include "milter/config/value.h"
#include "milter/net/fd.h"
#include "text/ascii.h"

namespace config {
namespace {

// The number of edits (Levenshtein) between two words.
std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const auto replaced = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// Returns "; did you mean max_sessions?" if a known name is similar to `word`, otherwise an empty
// text. The limit on edits grows with the word and is chosen, not measured: one in three letters,
// at most three.
template <typename Names, typename NameOf>
std::string did_you_mean(std::string_view word, const Names& names, NameOf name_of) {
  std::string best;
  std::size_t least = std::min<std::size_t>(4, word.size() / 3 + 1);
  for (const auto& candidate : names) {
    const auto edits = distance(word.substr(0, 64), name_of(candidate));
    if (edits < least) {
      least = edits;
      best = name_of(candidate);
    }
  }
  return best.empty() ? "" : fmt::format("; did you mean {}?", best);
}

template <typename Items, typename NameOf>
auto* find_named(const Items& items, std::string_view name, NameOf name_of) {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const auto& item) { return name_of(item) == name; });
  return found == items.end() ? nullptr : &*found;
}

template <typename Target>
const std::string& key_of(const BasicSetting<Target>& setting) {
  return setting.key;
}
const std::string& name_of(const Section& section) {
  return section.name;
}

// Returns the reason for refusing "none", a value that other proxies have for `upstream_protocol`.
// Empty for any other value.
std::string why_not_none(const toml::node& node) {
  const auto* text = node.as_string();
  if (text == nullptr || text->get() != "none") return "";
  return "\"none\" is refused: every client would look like 127.0.0.1 to Postfix, which mynetworks "
         "permits: an open relay. Use \"proxy-v2\" and smtpd_upstream_proxy_protocol=haproxy, or "
         "\"transparent\", which needs neither";
}

template <typename Target>
void read_setting(const Source& source, const std::string& name,
                  const BasicSetting<Target>& setting, const toml::node& node, Target& target) {
  if (name == "proxy.upstream_protocol") {
    if (const auto reason = why_not_none(node); !reason.empty()) fail(source, name, reason);
  }
  try {
    setting.read(node, target);
  } catch (const Refused& refused) {
    fail(source, name, refused.what());
  }
}

// Settings in the order of the file, so that the first reported error is the first in the file.
// toml++ sorts by name.
struct Entry {
  unsigned line;
  std::string key;
  const toml::node* node;
};
std::vector<Entry> in_file_order(const toml::table& table) {
  std::vector<Entry> entries;
  for (const auto& [key, node] : table) {
    entries.push_back({key.source().begin.line, std::string(key.str()), &node});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.line < b.line; });
  return entries;
}

// `elsewhere`: a key that another function reads.
template <typename Target>
void read_section(Source& source, const std::string& section,
                  const std::vector<BasicSetting<Target>>& settings, const toml::table& table,
                  Target& target, std::string_view elsewhere = {}) {
  for (const auto& [line, key, node] : in_file_order(table)) {
    const auto name = section + "." + key;
    source.lines[name] = line;
    if (key == elsewhere) continue;
    const auto* setting = find_named(settings, key, key_of<Target>);
    if (setting == nullptr) {
      fail(source, name, "unknown setting" + did_you_mean(key, settings, key_of<Target>));
    }
    read_setting(source, name, *setting, *node, target);
  }
}

// Reads all [listener.NAME] sections.
void read_listeners(Source& source, const toml::table& table, Config& config) {
  for (const auto& [line, key, node] : in_file_order(table)) {
    const auto name = fmt::format("{}.{}", kListener, key);
    source.lines[name] = line;
    if (const auto reason = check_listener(key); !reason.empty()) fail(source, name, reason);
    if (!node->is_table()) fail(source, name, fmt::format("this has to be a section: [{}]", name));
    if (config.listeners.size() == Listener::kMost) {
      fail(source, name, fmt::format("there are more than {} listeners", Listener::kMost));
    }
    Listener listener;
    listener.name = key;
    read_section(source, name, listener_settings(), *node->as_table(), listener);
    config.listeners.push_back(std::move(listener));
  }
}

// Reads all [[policy_service.rule]] sections. A rule is named by its number, from 1.
void read_policy_rules(Source& source, const toml::node* node, PolicyService& service) {
  const auto all = fmt::format("{}.{}", kPolicyService, kRule);
  if (node == nullptr) return;
  const auto* rules = node->as_array();
  if (rules == nullptr)
    fail(source, all, fmt::format("each rule has to be a section: [[{}]]", all));
  for (const auto& element : *rules) {
    const auto name = fmt::format("{}[{}]", all, service.rules.size() + 1);
    source.lines[name] = element.source().begin.line;
    if (!element.is_table())
      fail(source, name, fmt::format("this has to be a section: [[{}]]", all));
    if (service.rules.size() == PolicyRule::kMost) {
      fail(source, name, fmt::format("there are more than {} rules", PolicyRule::kMost));
    }
    PolicyRule rule;
    read_section(source, name, policy_rule_settings(), *element.as_table(), rule);
    if (!element.as_table()->contains("answer")) fail(source, name, "the rule has no answer");
    if (auto reason = check_policy_rule(rule); !reason.empty()) fail(source, name, reason);
    complete_states(rule);
    service.rules.push_back(std::move(rule));
  }
}

toml::table parse_toml(std::string_view text, const std::string& file) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    throw ConfigError(one_line(fmt::format("{}:{}: not TOML: {}{}", file, line, error.description(),
                                           write_instead(text, line))));
  }
}

// A listener takes each value of [policy] that its own section does not set.
void complete_listeners(Config& config) {
  for (Listener& listener : config.listeners) {
    listener.policy = config.policy;
    listener.enforcement = config.enforcement;
    listener.enforcement.mode = listener.mode.value_or(config.enforcement.mode);
    listener.policy.tempfail = listener.tempfail.value_or(config.policy.tempfail);
    listener.policy.quarantine = listener.quarantine.value_or(config.policy.quarantine);
    listener.policy.reject = listener.reject.value_or(config.policy.reject);
  }
}

// Entries from the administrator's files come first, so one of them replaces the compiled-in entry
// of the same name.
std::shared_ptr<const classifier::GaitBook> read_gaits(const Source& source, const Gaits& gaits) {
  if (gaits.files.empty()) return nullptr;
  auto book = std::make_shared<classifier::GaitBook>();
  for (const auto& file : gaits.files) {
    if (const auto error = book->add(read_file(file))) {
      fail(source, "gaits.files", fmt::format("{}:{}: {}", file, error->line, error->message));
    }
  }
  book->add(*classifier::GaitBook::builtin());
  return book;
}

void read_seal_keys(const Source& source, Seal& seal) {
  if (seal.key_file.empty()) return;
  try {
    seal.keys = seal::read_keys(seal.key_file);
  } catch (const std::runtime_error& error) {
    fail(source, "seal.key_file", error.what());
  }
}

// The memory process reads it for itself; here it is looked at, so that a start or a reload with a
// file that cannot be used fails at once.
void check_memory_key(const Source& source, const Memory& memory) {
  if (memory.addresses != Memory::Addresses::Keyed) return;
  try {
    (void)seal::read_keys(memory.key_file);
  } catch (const std::runtime_error& error) {
    fail(source, "memory.key_file", error.what());
  }
}

template <typename Target>
void print_settings(const std::vector<BasicSetting<Target>>& settings, const Target& target,
                    std::string& text) {
  for (const auto& setting : settings) {
    const auto value = setting.print(target);
    if (!value.empty()) text += fmt::format("{} = {}\n", setting.key, value);
  }
}

}  // namespace

Config parse(std::string_view text, const std::string& file, Secrets secrets) {
  if (text.size() > kMaxText) {
    throw ConfigError(
        fmt::format("{}: the configuration has {} bytes, and at most {} are permitted", file,
                    text.size(), kMaxText));
  }
  Config config;
  Source source{file, {}};
  const auto document = parse_toml(text, file);
  for (const auto& [line, name, node] : in_file_order(document)) {
    source.lines[name] = line;
    const auto* section = find_named(sections(), name, name_of);
    if (name == kListener && node->is_table()) {
      read_listeners(source, *node->as_table(), config);
      continue;
    }
    if (name == kListener)
      fail(source, name, "this has to be a section for each listener: [listener.NAME]");
    if (section == nullptr) {
      fail(source, name, "unknown section" + did_you_mean(name, sections(), name_of));
    }
    if (!node->is_table()) fail(source, name, fmt::format("this has to be a section: [{}]", name));
    const auto& table = *node->as_table();
    const bool has_rules = name == kPolicyService;
    read_section(source, section->name, section->settings, table, config, has_rules ? kRule : "");
    if (has_rules) read_policy_rules(source, table.get(kRule), config.policy_service);
  }
  complete_listeners(config);
  check_between(source, config);
  config.policy.gaits = read_gaits(source, config.gaits);
  for (Listener& listener : config.listeners) listener.policy.gaits = config.policy.gaits;
  if (secrets == Secrets::Read) {
    read_seal_keys(source, config.seal);
    check_memory_key(source, config.memory);
  }
  return config;
}

void forget_secrets(Config& config) {
  config.seal.keys.clear();
  auto& percent_key = config.enforcement.percent_key;
  explicit_bzero(percent_key.data(), percent_key.size());
  percent_key.clear();
}

std::string read_file(const std::string& file) {
  const auto failed = [&] {
    return ConfigError(fmt::format("{}: cannot be read: {}", file, std::strerror(errno)));
  };
  const net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw failed();
  std::string text;
  char buffer[16 * 1024];
  // Stops soon after the limit, because reading a device would never end.
  while (text.size() <= kMaxText) {
    const auto got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0) throw failed();
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  throw ConfigError(
      fmt::format("{}: the file has more than {} bytes, which is the limit of a configuration",
                  file, kMaxText));
}

std::string print(const Config& config) {
  std::string text;
  for (const auto& section : sections()) {
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section.name);
    print_settings(section.settings, config, text);
  }
  for (const Listener& listener : config.listeners) {
    text += fmt::format("\n[{}.{}]\n", kListener, quoted(listener.name));
    print_settings(listener_settings(), listener, text);
  }
  for (const PolicyRule& rule : config.policy_service.rules) {
    text += fmt::format("\n[[{}.{}]]\n", kPolicyService, kRule);
    print_settings(policy_rule_settings(), rule, text);
  }
  return text;
}

std::vector<std::string> needs_restart(const Config& running, const Config& loaded) {
  std::vector<std::string> names;
  for (const auto& section : sections()) {
    for (const auto& setting : section.settings) {
      if (setting.change == Change::AtRestart && setting.print(running) != setting.print(loaded)) {
        names.push_back(section.name + "." + setting.key);
      }
    }
  }
  return names;
}

Config reloaded(const Config& running, Config loaded) {
  for (const auto& section : sections()) {
    for (const auto& setting : section.settings) {
      if (setting.change == Change::AtRestart) setting.copy(running, loaded);
    }
  }
  return loaded;
}

}  // namespace config
