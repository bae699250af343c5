// The kinds of value that only the rules of the policy service have (value.h says what a kind is).
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/policy_rule.h"
#include "milter/config/value.h"

namespace config {

// A list of words of a closed set, kept as bits. An empty list is 0.
struct WordBits {
  using Value = std::uint32_t;
  std::string_view example;
  std::uint32_t (*bit)(std::string_view word);                 // 0: it is not of the set
  std::vector<std::string_view> (*words)(std::uint32_t bits);  // UINT32_MAX: all of them
  Value read(const toml::node& node) const;
  std::string print(Value bits) const;
};

std::uint32_t state_bit(std::string_view word);
std::uint32_t talk_bit(std::string_view word);  // the words that are known before the message
std::uint32_t pattern_bit(std::string_view word);
std::vector<std::string_view> print_states(std::uint32_t bits);
std::vector<std::string_view> print_talk(std::uint32_t bits);
std::vector<std::string_view> print_patterns(std::uint32_t bits);

// Names of listeners: what smtpd has as milter_macro_daemon_name, or a section [listener.NAME].
struct ListenerNames {
  using Value = std::vector<std::string>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

struct Answer {
  using Value = PolicyAnswer;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const { return quoted(value.text); }
};

}  // namespace config
