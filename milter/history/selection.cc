#include "milter/history/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "classifier/classify.h"
#include "classifier/enum_names.h"
#include "classifier/gait.h"
#include "classifier/pattern.h"
#include "classifier/trace_text.h"
#include "milter/history/print.h"
#include "milter/history/words.h"
#include "milter/policy/decision.h"
#include "milter/time/rfc3339.h"
#include "text/ascii.h"
#include "text/number.h"
#include "text/printable.h"

namespace history {
namespace {

using std::chrono::milliseconds;
constexpr std::uint64_t kNsPerMs = 1'000'000;

constexpr WordKey kWordKeys[] = {
    {"queue-id", "queue_id", &Selection::queue_id, "Postfix's queue id"},
    {"listener", "listener", &Selection::listener, "NAME of [listener.NAME]"},
    {"pattern", "pattern", &Selection::pattern, "the label, such as bot-template"},
    {"writer", "writer", &Selection::writer, "how the program writes, such as blocks"},
    {"path", "path", &Selection::path, "how the network changed the segments, such as full"},
    {"gait", "gait", &Selection::gait, "the program, or unknown"},
    {"class", "gait_class", &Selection::gait_class, "the kind of program, such as library"},
    {"action", "action", &Selection::action, "what was done: none, tempfail, quarantine, reject"},
    {"would", "would", &Selection::would, "what the score asked for, as above"},
    {"held", "held", &Selection::held,
     "what held the action back: none, monitor, percent, breaker"},
    {"basis", "basis", &Selection::basis,
     "what the decision rests on: evidence, unobserved, failed"},
    {"reason", "reason", &Selection::reason, "why evidence is missing, such as timeout"},
};

constexpr Key kKeys[] = {
    {"from", "TIME", "2026-11-27 or 2026-11-27T07:00:00Z, in UTC; included"},
    {"to", "TIME", "the same; not included"},
    {"since", "DURATION", "from this long before now: 15m, 48h, 14d"},
    {"client", "ADDRESS", "192.0.2.7, 2001:db8::7, 192.0.2.0/24"},
    {"min-score", "SCORE", "lowest score"},
    {"max-score", "SCORE", "highest score"},
};

constexpr std::size_t kAllKeys = std::size(kKeys) + std::size(kWordKeys);

// A word that is not in the table is a mistake. The tables are short enough to be printed.
template <typename Enum>
std::string check_enum(std::string_view what, std::string_view word) {
  if (named<Enum>(word)) return {};
  std::string all;
  for (std::size_t i = 0; i < classifier::enumerators<Enum>(); ++i) {
    all += fmt::format("{}{}", all.empty() ? "" : ", ", name(static_cast<Enum>(i)));
  }
  return fmt::format("is not {}; write one of: {}", what, all);
}

// Names that the administrator gives: gaits, listeners, and queue ids of Postfix.
std::string check_name(std::string_view what, std::string_view word, std::size_t longest) {
  const auto fits = [](char c) {
    return (text::lower(c) >= 'a' && text::lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (word.size() <= longest && std::all_of(word.begin(), word.end(), fits)) return {};
  return fmt::format(
      "is not {}: it has other characters than letters, digits, '-', '_' and '.', "
      "or is longer than {}",
      what, longest);
}

// Empty: the word can be a value of that key.
std::string check_word(std::string_view key, std::string_view word) {
  constexpr std::size_t kLongestGait = 24;
  constexpr std::size_t kLongestName = 255;
  if (key == "pattern") return check_enum<classifier::Pattern>("a pattern", word);
  if (key == "writer") return check_enum<classifier::Writer>("a writer", word);
  if (key == "path") return check_enum<classifier::PathShape>("a path", word);
  if (key == "class") return check_enum<classifier::GaitClass>("a class", word);
  if (key == "action" || key == "would") return check_enum<classifier::Action>("an action", word);
  if (key == "held") return check_enum<policy::HeldBackBy>("a reason to hold back", word);
  if (key == "basis") return check_enum<policy::Basis>("a basis", word);
  if (key == "reason") return check_enum<classifier::Reason>("a reason", word);
  if (key == "gait") return check_name("a gait", word, kLongestGait);
  return check_name(key == "queue-id" ? "a queue id" : "a listener", word, kLongestName);
}

SelectionError wrong(std::string_view key, std::string_view value, std::string_view why) {
  return {fmt::format("{}: \"{}\" {}", key, text::printable(value), why)};
}

using Wrong = std::optional<SelectionError>;

// Takes "!" from the front.
bool take_exclusion(std::string_view& value) {
  if (!value.starts_with('!')) return false;
  value.remove_prefix(1);
  return true;
}

Wrong read_words(std::string_view key, std::string_view value, Values& values) {
  values.excluded = take_exclusion(value);
  while (true) {
    const auto word = value.substr(0, value.find(','));
    if (word.empty()) return SelectionError{fmt::format("{}: a value is empty", key)};
    if (word.starts_with('!')) {
      return wrong(key, word,
                   "has a ! of its own: one ! in front of the first value excludes all of them");
    }
    if (const auto why = check_word(key, word); !why.empty()) return wrong(key, word, why);
    if (values.any.size() == Values::kMost) {
      return SelectionError{fmt::format("{}: there are more than {} values", key, Values::kMost)};
    }
    values.any.emplace_back(word);
    if (word.size() == value.size()) return std::nullopt;
    value.remove_prefix(word.size() + 1);
  }
}

// The form of AddressForm: 16 digits, base 16.
bool is_keyed(std::string_view text) {
  return text.size() == 16 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Wrong read_client(std::string_view value, Selection& selection) {
  Client client;
  client.excluded = take_exclusion(value);
  client.text = value;
  if (is_keyed(value)) {
    client.kind = Client::Kind::Keyed;
    selection.client = std::move(client);
    return std::nullopt;
  }
  const auto network = net::Network::parse(value);
  const auto first = net::Endpoint::parse_address(value.substr(0, value.find('/')), 0);
  if (!network || !first) {
    return wrong("client", value, "is not an address or a network such as 192.0.2.0/24");
  }
  client.network = *network;
  client.first = *first;
  client.kind = value.find('/') == value.npos ? Client::Kind::Address : Client::Kind::Network;
  selection.client = std::move(client);
  return std::nullopt;
}

Wrong read_score(std::string_view key, std::string_view value, std::optional<double>& score) {
  score = decimal(value);
  if (score) return std::nullopt;
  return wrong(key, value, "is not a score such as 4.5");
}

std::optional<Time> read_day(std::string_view value) {
  const auto ns = rfc3339::parse_time(fmt::format("{}T00:00:00Z", value));
  return ns && value.size() == 10 ? std::optional(Time(milliseconds(*ns / kNsPerMs)))
                                  : std::nullopt;
}

Wrong read_time(std::string_view key, std::string_view value, std::optional<Time>& time) {
  time = read_day(value);
  if (time) return std::nullopt;
  const auto ns = rfc3339::parse_time(value);
  if (!ns) {
    return wrong(key, value, "is not a time: write 2026-11-27 or 2026-11-27T07:00:00Z");
  }
  time = Time(milliseconds(*ns / kNsPerMs));
  return std::nullopt;
}

Wrong read_since(std::string_view value, Time now, std::optional<Time>& from) {
  struct Unit {
    char letter;
    std::uint64_t seconds;
  };
  constexpr Unit kUnits[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}, {'w', 604'800}};
  const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits), [value](const Unit& one) {
    return !value.empty() && one.letter == value.back();
  });
  const auto number = text::number<std::uint32_t>(value.substr(0, value.size() - 1));
  if (value.empty() || unit == std::end(kUnits) || !number || *number == 0) {
    return wrong("since", value, "is not a duration: write 15m, 48h, 14d or 2w");
  }
  const auto back = milliseconds(*number * unit->seconds * 1000);
  from = now.time_since_epoch() > back ? now - back : Time{};
  return std::nullopt;
}

// Reads the keys that have one value. Returns nothing if it is another key.
std::optional<Wrong> read_value(const Pair& pair, Time now, Selection& selection) {
  const std::string& key = pair.key;
  const std::string& value = pair.value;
  const bool known = std::any_of(std::begin(kKeys), std::end(kKeys),
                                 [&key](const Key& one) { return one.name == key; });
  if (!known) return std::nullopt;
  if (key == "client") return read_client(value, selection);
  if (value.starts_with('!')) return wrong(key, value, "cannot be excluded with !");
  if (key == "from") return read_time(key, value, selection.from);
  if (key == "to") return read_time(key, value, selection.to);
  if (key == "since") return read_since(value, now, selection.from);
  return read_score(key, value, key == "min-score" ? selection.min_score : selection.max_score);
}

Wrong read_pair(const Pair& pair, Time now, Selection& selection) {
  if (pair.value.size() > kLongestValue) {
    return SelectionError{fmt::format("{}: the value is longer than {} bytes",
                                      text::printable(pair.key), kLongestValue)};
  }
  if (const auto read = read_value(pair, now, selection)) return *read;
  for (const auto& word_key : kWordKeys) {
    if (word_key.key == pair.key) {
      return read_words(pair.key, pair.value, selection.*word_key.values);
    }
  }
  std::string all;
  for (const Key& key : keys()) all += fmt::format("{}{}", all.empty() ? "" : ", ", key.name);
  return SelectionError{
      fmt::format("\"{}\" is not a key; the keys are: {}", text::printable(pair.key), all)};
}

Wrong check(std::span<const Pair> pairs, const Selection& selection) {
  const auto has = [pairs](std::string_view key) {
    return std::count_if(pairs.begin(), pairs.end(),
                         [key](const Pair& pair) { return pair.key == key; });
  };
  for (const Key& key : keys()) {
    if (has(key.name) > 1) {
      return SelectionError{fmt::format(
          "{}: it is given twice; separate several values of one key by commas", key.name)};
    }
  }
  if (has("since") > 0 && has("from") > 0) {
    return SelectionError{"since: it cannot be used with from"};
  }
  if (selection.from && selection.to && *selection.from >= *selection.to) {
    return SelectionError{"to: it is not later than from, so no message can be between them"};
  }
  if (selection.min_score && selection.max_score && *selection.min_score > *selection.max_score) {
    return SelectionError{"max-score: it is lower than min-score, so no score can be between them"};
  }
  return std::nullopt;
}

std::string print(const Values& values) {
  return fmt::format("{}{}", values.excluded ? "!" : "", fmt::join(values.any, ","));
}

}  // namespace

std::span<const WordKey> word_keys() {
  return kWordKeys;
}

std::span<const Key> keys() {
  static const auto kAll = [] {
    std::array<Key, kAllKeys> all{};
    const auto next = std::copy(std::begin(kKeys), std::end(kKeys), all.begin());
    std::transform(std::begin(kWordKeys), std::end(kWordKeys), next, [](const WordKey& key) {
      return Key{key.key, "WORDS", key.help};
    });
    return all;
  }();
  return kAll;
}

std::variant<Selection, SelectionError> parse(std::span<const Pair> pairs, Time now) {
  Selection selection;
  for (const Pair& pair : pairs) {
    if (auto error = read_pair(pair, now, selection)) return std::move(*error);
  }
  if (auto error = check(pairs, selection)) return std::move(*error);
  return selection;
}

Pairs print(const Selection& selection) {
  Pairs pairs;
  const auto add = [&pairs](std::string_view key, std::string value) {
    pairs.push_back({std::string(key), std::move(value)});
  };
  if (selection.from) add("from", print_time(*selection.from));
  if (selection.to) add("to", print_time(*selection.to));
  if (selection.client) {
    add("client", (selection.client->excluded ? "!" : "") + selection.client->text);
  }
  if (selection.min_score) add("min-score", fmt::format("{}", *selection.min_score));
  if (selection.max_score) add("max-score", fmt::format("{}", *selection.max_score));
  for (const auto& key : kWordKeys) {
    if (!(selection.*key.values).empty()) add(key.key, print(selection.*key.values));
  }
  return pairs;
}

}  // namespace history
