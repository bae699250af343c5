// How many messages there were: by time, label and what was done, and by network. Plain values, and
// the object that adds them up. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier/pattern.h"
#include "milter/memory/day.h"

namespace history {

using memory::Day;
using memory::Time;

struct CountRequest {
  // The width of a bin. The bins begin at multiples of it since 1970.
  std::chrono::seconds bin{3600};
  std::size_t networks = 20;  // how many of the networks with most messages are listed
};

// What the messages of a cell have in common. `reason` is empty, except for the pattern
// `unobserved`. A cell from totals.db has only pattern, gait and action; its other words are empty.
struct Labels {
  std::string pattern, gait, gait_class, action, would, held, reason;
  auto operator<=>(const Labels&) const = default;
};

// Messages are rows by their weight: where the store has kept one row of N (memory/day_file.h), it
// counts N times.
struct Count {
  std::uint64_t messages = 0;
  std::uint64_t rows = 0;

  Count& operator+=(const Count& other) {
    messages += other.messages;
    rows += other.rows;
    return *this;
  }
};

struct Cell {
  Time begin;  // of the bin
  Labels labels;
  Count count;
};

struct NetworkCount {
  std::string network;  // as it is stored: "192.0.2.0/24", or 16 digits (memory/address_form.h)
  std::uint64_t messages = 0;
  std::uint64_t would_refuse = 0;  // for which the score asked for tempfail or reject
  Time first, last;
  std::array<std::uint64_t, classifier::kPatterns> patterns{};  // messages, by classifier::Pattern
};

struct DayCount {
  enum class From { Rows, Totals, Nothing };
  Day day;
  From from = From::Nothing;
};

struct Counts {
  // Networks that are told apart; messages of further ones are counted, and the networks are not.
  static constexpr std::size_t kMostNetworks = 500'000;

  static constexpr std::size_t kMostDays = 10'000;

  std::vector<Cell> cells;             // by begin, then by labels
  std::vector<NetworkCount> networks;  // by messages, most first
  std::size_t distinct_networks = 0;
  std::array<std::size_t, classifier::kPatterns> networks_of_pattern{};  // distinct ones
  bool networks_are_full = false;  // there are more than kMostNetworks
  // Each day from the first one that is remembered, within the time of the selection.
  std::vector<DayCount> days;
  Time first, last;  // of the rows that were counted; both 0: there are none
  // The selection uses something that totals.db does not have. So days for which only totals.db is
  // left are not counted.
  bool totals_left_out = false;
  std::vector<std::string> problems;

  Count all() const;
  // How many messages have each word as `member` of their labels; most messages first.
  std::vector<std::pair<std::string, Count>> by(std::string Labels::*member) const;
};

// Whether this is the word of an action that refuses a message (policy::is_refusal).
bool is_refusal(std::string_view action);

}  // namespace history
