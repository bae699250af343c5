// Which messages of the store a question is about. The options of the command line and the query of
// a URL are both lists of keys and values, and are read here.
//
//     from, to       2026-11-27 or 2026-11-27T07:00:00Z; `to` itself is not included
//     since          15m, 48h, 14d: `from` is so long before now
//     client         an address, a network such as 192.0.2.0/24, or either as it is stored with
//                    keyed addresses: 16 digits
//     min-score, max-score     both are included
//     queue-id, listener, pattern, writer, path, gait, class, action, would, held, basis, reason
//                    one value or several, separated by commas: one of them has to be the message's
//
// "!" in front of the values excludes messages that have one of them: pattern=!official-mta,relay.
// Pure; safe from any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/memory/day.h"
#include "milter/net/address.h"

namespace history {

using memory::Time;

struct Pair {
  std::string key;
  std::string value;
  bool operator==(const Pair&) const = default;
};
using Pairs = std::vector<Pair>;

// The values of one key.
struct Values {
  static constexpr std::size_t kMost = 32;

  bool excluded = false;
  std::vector<std::string> any;  // empty: every message

  bool empty() const { return any.empty(); }
  bool operator==(const Values&) const = default;
};

struct Client {
  bool excluded = false;
  std::string text;  // as it was given
  // Not of Kind::Keyed:
  net::Network network;
  net::Endpoint first;  // the address, or the one in front of the network's '/'
  enum class Kind { Address, Network, Keyed } kind = Kind::Address;
  bool operator==(const Client&) const = default;
};

struct Selection {
  std::optional<Time> from;  // included
  std::optional<Time> to;    // not included
  std::optional<Client> client;
  std::optional<double> min_score, max_score;  // included
  Values queue_id, listener, pattern, writer, path, gait, gait_class;
  Values action, would, held, basis, reason;

  bool operator==(const Selection&) const = default;
};

// A key whose values are words, and the column of the store that has the word (memory/day_file.h).
struct WordKey {
  std::string_view key;
  const char* column;
  Values Selection::*values;
  const char* help;  // for --help
};
std::span<const WordKey> word_keys();

// All keys, for --help and for a page that checks its URL: with their form ("TIME") and meaning.
struct Key {
  std::string_view name;
  const char* form;
  const char* help;
};
std::span<const Key> keys();

// The longest value, in bytes.
inline constexpr std::size_t kLongestValue = 1024;

// `message` is one line, for example: pattern: "bot" is not a pattern; the patterns are: …
struct SelectionError {
  std::string message;
};
std::variant<Selection, SelectionError> parse(std::span<const Pair> pairs, Time now);

// What parse() reads as the same selection; `since` becomes `from`.
Pairs print(const Selection& selection);

}  // namespace history
