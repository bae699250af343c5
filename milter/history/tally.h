// Adds up the rows of day files, and the hours of totals.db, to Counts. Internal to history. One
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "milter/history/client_condition.h"
#include "milter/history/counts.h"
#include "milter/history/selection.h"
#include "milter/history/store_file.h"
#include "milter/memory/totals.h"

namespace history {

class Tally {
 public:
  explicit Tally(const CountRequest& request) : request_(request) {}

  // Throws memory::DatabaseError; what was added until then stays.
  void add_file(OpenFile& file, const Selection& selection, const ClientCondition& client);
  void add_hour(const memory::HourCount& hour);
  // All but the days and the problems.
  Counts take();

 private:
  class Rows;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  // Small, because each row looks for one among very many.
  struct Network {
    std::array<std::uint32_t, classifier::kPatterns + 1> patterns{};  // the last one: other words
    std::uint32_t would_refuse = 0;
    Time first = Time::max();
    Time last = Time::min();

    std::uint64_t messages() const {
      return std::accumulate(patterns.begin(), patterns.end(), std::uint64_t{0});
    }
  };

  void add_cell(Time time, Labels labels, const Count& count);
  // Null: there are too many.
  Network* network(std::string_view text);
  void take_networks(Counts& counts) const;

  const CountRequest request_;
  std::map<std::pair<Time, Labels>, Count> cells_;
  std::unordered_map<std::string, Network, Hash, std::equal_to<>> networks_;
  bool networks_are_full_ = false;
  Time first_ = Time::max();
  Time last_ = Time::min();
};

}  // namespace history
