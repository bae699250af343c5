// The table of all settings: one row each, which says how it is read, printed, compared and copied.
// Parsing, `segmilter check --print` and reloading all walk this one table, so a setting that has a
// row is whole. Constant after first use; safe from any thread.
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

struct Setting {
  std::string key;
  Change change = Change::AtReload;
  std::function<void(const toml::node&, Config&)> read;  // throws Refused
  std::function<std::string(const Config&)> print;       // TOML; empty: not set
  std::function<void(const Config& from, Config& to)> copy;
};

struct Section {
  std::string name;
  std::vector<Setting> settings;
};

const std::vector<Section>& sections();

}  // namespace config
