// The table of all settings. Each has one row, which says how the setting is read, printed,
// compared and copied. Parsing, `segmilter check --print` and reloading all use this table, so one
// row is all that a new setting needs. Sections that may occur several times, each with a name
// chosen by the administrator ([listener.NAME]), have a second table with the same kind of row.
// Constant after first use; safe from any thread.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <string>
#include <vector>

#include "milter/config/config.h"

namespace config {

enum class Change {
  AtReload,   // takes effect at SIGHUP
  AtRestart,  // sockets, rights and threads, which a running program already holds
};

// `Target` is the struct that the setting belongs to: a Config or a Listener.
template <typename Target>
struct BasicSetting {
  std::string key;
  Change change = Change::AtReload;
  std::function<void(const toml::node&, Target&)> read;  // throws Refused
  std::function<std::string(const Target&)> print;       // TOML; empty: not set
  std::function<void(const Target& from, Target& to)> copy;
};
using Setting = BasicSetting<Config>;

struct Section {
  std::string name;
  std::vector<Setting> settings;
};

const std::vector<Section>& sections();

// The name and the settings of [listener.NAME].
inline constexpr char kListener[] = "listener";
const std::vector<BasicSetting<Listener>>& listener_settings();

// The section of the policy service, the key of its rules there, and the settings of a rule.
inline constexpr char kPolicyService[] = "policy_service";
inline constexpr char kRule[] = "rule";
const std::vector<BasicSetting<PolicyRule>>& policy_rule_settings();

}  // namespace config
