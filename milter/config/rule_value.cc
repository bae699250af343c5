#include "milter/config/rule_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "classifier/dialogue_words.h"
#include "classifier/pattern.h"

namespace config {
namespace {

// Known only when the message has ended.
constexpr std::array<std::string_view, 3> kTooLate = {"early-data", "quit-with-dot", "blank-end"};

bool is_in_time(const classifier::DialogueWord& row) {
  return row.member != nullptr &&
         std::find(kTooLate.begin(), kTooLate.end(), row.word) == kTooLate.end();
}

// The names of `bits`: `name_of(i)` is that of bit i, and empty if the bit has none.
template <typename NameOf>
std::vector<std::string_view> names(std::uint32_t bits, std::size_t count, NameOf name_of) {
  std::vector<std::string_view> found;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view name = name_of(i);
    if ((bits & (1U << i)) != 0 && !name.empty()) found.push_back(name);
  }
  return found;
}

}  // namespace

std::vector<std::string_view> print_states(std::uint32_t bits) {
  return names(bits, kPolicyStates,
               [](std::size_t i) { return name(static_cast<PolicyState>(i)); });
}

std::vector<std::string_view> print_talk(std::uint32_t bits) {
  const auto& rows = classifier::kDialogueWords;
  return names(bits, rows.size(), [&](std::size_t i) {
    return is_in_time(rows[i]) ? rows[i].word : std::string_view();
  });
}

std::vector<std::string_view> print_patterns(std::uint32_t bits) {
  return names(bits, classifier::kPatterns,
               [](std::size_t i) { return classifier::name(static_cast<classifier::Pattern>(i)); });
}

std::uint32_t state_bit(std::string_view word) {
  for (std::uint32_t i = 0; i < kPolicyStates; ++i) {
    if (name(static_cast<PolicyState>(i)) == word) return 1U << i;
  }
  return 0;
}

std::uint32_t talk_bit(std::string_view word) {
  const auto& rows = classifier::kDialogueWords;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (rows[i].word == word && is_in_time(rows[i])) return 1U << i;
  }
  return 0;
}

std::uint32_t pattern_bit(std::string_view word) {
  const auto pattern = classifier::pattern_named(word);
  return pattern ? 1U << static_cast<unsigned>(*pattern) : 0;
}

WordBits::Value WordBits::read(const toml::node& node) const {
  Value bits = 0;
  for (const auto& word : read_strings(node, example)) {
    const std::uint32_t found = bit(word);
    if (found == 0) {
      throw Refused(
          fmt::format("\"{}\" is not one of {}", word, fmt::join(words(UINT32_MAX), ", ")));
    }
    bits |= found;
  }
  if (bits == 0) throw Refused("the list is empty; leave the setting out if it is no condition");
  return bits;
}

std::string WordBits::print(Value bits) const {
  if (bits == 0) return "";
  return fmt::format("[\"{}\"]", fmt::join(words(bits), "\", \""));
}

ListenerNames::Value ListenerNames::read(const toml::node& node) const {
  auto found = read_strings(node, R"("smtpd")");
  for (const auto& name : found) {
    if (auto reason = check_listener(name); !reason.empty()) throw Refused(reason);
  }
  return found;
}

std::string ListenerNames::print(const Value& value) const {
  return value.empty() ? "" : print_strings(value);
}

PolicyAnswer Answer::read(const toml::node& node) const {
  auto parsed =
      parse_policy_answer(read_string(node, R"("DEFER_IF_PERMIT 4.7.1 Try again later")"));
  if (const auto* reason = std::get_if<std::string>(&parsed)) throw Refused(*reason);
  return std::get<PolicyAnswer>(std::move(parsed));
}

}  // namespace config
