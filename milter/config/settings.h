// The table of all settings: one row each, which says how it is read, printed, compared and copied.
// Parsing, `segmilter check --print` and reloading all walk this one table, so a setting that has a
// row is whole. Sections of which there may be several, each with a name that the administrator
// gives ([listener.NAME]), have a table of their own with the same kind of row. Constant after
// first use; safe from any thread.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <string>
#include <vector>

#include "milter/config/config.h"

namespace config {

enum class Change {
  AtReload,   // SIGHUP is enough
  AtRestart,  // sockets, rights and threads that a running program has already taken
};

// `Target` is what the setting is a part of: a Config, or one Listener.
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

// Of [listener.NAME].
inline constexpr char kListener[] = "listener";
const std::vector<BasicSetting<Listener>>& listener_settings();

}  // namespace config
