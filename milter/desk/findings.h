// What the pages show of the store: numbers of messages, rows, and an estimate of other thresholds.
// Plain values, and the functions that find them. One thread for each History.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "classifier/pattern.h"
#include "milter/history/history.h"
#include "milter/policy/decision.h"

namespace desk {

using history::Time;
using PatternCounts = std::array<std::uint64_t, classifier::kPatterns>;  // messages

struct Sum {
  std::uint64_t messages = 0;
  std::uint64_t refused = 0;  // deferred or rejected
  std::uint64_t asked = 0;    // for which the score asked to be refused
};

// Messages that have something in common.
struct Group {
  std::string name;  // of a gait or of a pattern; a network as it is stored
  Time first, last;  // for gaits and patterns: of the bins in which they are
  Sum sum;
  PatternCounts patterns{};
};

// The last 48 hours.
struct Overview {
  static constexpr std::chrono::hours kSpan{48};
  static constexpr std::chrono::minutes kBin{15};
  static constexpr std::size_t kBins = kSpan / kBin;
  static constexpr std::size_t kMostGroups = 50;

  Time begin;  // of the first bin
  std::array<PatternCounts, kBins> bins{};
  Sum all;
  std::vector<Group> patterns, gaits, networks;  // most messages first
  std::size_t distinct_networks = 0;
  bool networks_are_full = false;  // there are more networks than could be counted apart
  std::vector<std::pair<std::string, std::uint64_t>> unobserved;  // by reason
  std::vector<std::pair<std::string, std::uint64_t>> actions;
  std::vector<std::string> problems;
};
// Counts up to the bin of `now`, which is included.
Overview find_overview(history::History& history, Time now);

// Messages of one pattern in the last hour, against those of the hours before it.
struct Change {
  classifier::Pattern pattern;
  std::uint64_t last_hour = 0;
  double share = 0;         // of the messages of the last hour
  double share_before = 0;  // of those of the other hours
};
// Patterns whose share has trebled, and that had at least kFewest messages in the hour.
inline constexpr std::uint64_t kFewest = 10;
std::vector<Change> changes(const Overview& overview);

struct Rows {
  struct Item {
    history::Row row;     // without its trace, unless it was asked for
    std::string picture;  // of the message, for a table; empty: nothing was seen of it
  };
  std::vector<Item> items;  // newest first
  std::optional<history::Cursor> older;
  bool is_newest = true;  // there were no newer ones
  std::vector<std::string> problems;
};
// With `traces` in the request each row has its picture, which is drawn here, so that not every
// trace has to be kept.
Rows find_rows(history::History& history, const history::Selection& selection,
               const history::PageRequest& request);

// A message with its trace, and the other messages that had the same queue id.
Rows find_message(history::History& history, const std::string& queue_id,
                  const std::optional<history::Cursor>& at);

struct Thresholds {
  double tempfail = 0;  // infinite: off
  double quarantine = 0;
  double reject = 0;
  bool operator==(const Thresholds&) const = default;
};

// What other thresholds would do to the messages of a selection.
struct Estimate {
  std::uint64_t messages = 0;
  // The messages, counted by the strongest action whose threshold their score reaches.
  std::uint64_t tempfail = 0, quarantine = 0, reject = 0;
  std::vector<Group> patterns, gaits, networks;  // of those that would be refused
  Rows hardest;                                  // the newest of them
  std::vector<std::string> problems;
};
Estimate find_estimate(history::History& history, const history::Selection& selection,
                       const Thresholds& thresholds);

}  // namespace desk
