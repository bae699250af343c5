#include "milter/history/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "milter/memory/database.h"

namespace history {
namespace {

using memory::Statement;
using std::chrono::milliseconds;

// How many ids are asked for at a time: some ten milliseconds, in which SQLite holds a snapshot.
constexpr std::int64_t kIdsAtOnce = 20'000;

// Columns that hold the number of a word, and the labels that they are, in the order of
// CellKey::words.
struct WordColumn {
  const char* column;
  std::string Labels::*member;
};
constexpr WordColumn kWords[] = {
    {"pattern", &Labels::pattern}, {"gait", &Labels::gait},   {"gait_class", &Labels::gait_class},
    {"action", &Labels::action},   {"would", &Labels::would}, {"held", &Labels::held},
    {"reason", &Labels::reason},
};
enum Word { kPattern, kGait, kClass, kAction, kWould, kHeld, kReason, kWordCount };
static_assert(std::size(kWords) == kWordCount);
enum Column { kTime = kWordCount, kWeight, kNetwork, kAddress };

// A cell of one file: words are numbers here, which are compared much faster than texts.
struct CellKey {
  std::int64_t bin = 0;
  std::array<std::int32_t, kWordCount> words{};
  bool operator==(const CellKey&) const = default;
};

struct HashCell {
  std::size_t operator()(const CellKey& key) const {  // FNV-1a over whole numbers
    constexpr std::uint64_t kPrime = 1099511628211ULL;
    std::uint64_t hash = 14695981039346656037ULL ^ static_cast<std::uint64_t>(key.bin);
    for (const auto word : key.words) hash = (hash * kPrime) ^ static_cast<std::uint32_t>(word);
    hash *= kPrime;
    return hash ^ hash >> 32;
  }
};

// Requires: begin <= end. Their difference may be larger than an int64_t can be.
std::int64_t last_at_once(std::int64_t begin, std::int64_t end) {
  const auto left = static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin);
  return left < static_cast<std::uint64_t>(kIdsAtOnce) ? end : begin + kIdsAtOnce - 1;
}

std::string select(const OpenFile& file, const Condition& condition, bool needs_address) {
  std::string sql = "SELECT ";
  for (const auto& word : kWords) sql += fmt::format("{}, ", word.column);
  return sql + fmt::format(
                   "time, {}, network{} FROM messages NOT INDEXED WHERE id >= ? AND id <= ? AND {}",
                   file.weight(), needs_address ? ", address" : "", condition.sql);
}

}  // namespace

class Tally::Rows {
 public:
  Rows(Tally& tally, const OpenFile& file, const ClientCondition& client)
      : tally_(tally),
        file_(file),
        client_(client),
        bin_(milliseconds(tally.request_.bin).count()) {
    for (const auto& word : file.words()) {
      const auto pattern = classifier::pattern_named(word);
      patterns_.push_back(
          static_cast<std::size_t>(pattern ? static_cast<int>(*pattern) : classifier::kPatterns));
      refusals_.push_back(is_refusal(word));
    }
  }

  void add(const Statement& row) {
    const auto network = row.text(kNetwork);
    if (client_.needs_rows() && !client_.holds(row.text(kAddress), network)) return;
    const auto time = row.integer(kTime);
    CellKey key{.bin = time / bin_};
    for (int i = 0; i < kWordCount; ++i) {
      key.words[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(row.integer(i));
    }
    if (pattern(key) != static_cast<std::size_t>(classifier::Pattern::Unobserved)) {
      key.words[kReason] = 0;
    }
    const auto weight = static_cast<std::uint64_t>(std::max<std::int64_t>(row.integer(kWeight), 1));
    cells_[key] += {weight, 1};
    if (!network.empty()) add_network(network, Time(milliseconds(time)), key, weight);
    first_ = std::min(first_, time);
    last_ = std::max(last_, time);
  }

  void finish() {
    for (const auto& [key, count] : cells_) {
      Labels labels;
      for (std::size_t i = 0; i < kWordCount; ++i) {
        labels.*kWords[i].member = file_.word(key.words[i]);
      }
      tally_.add_cell(Time(milliseconds(key.bin * bin_)), std::move(labels), count);
    }
    if (cells_.empty()) return;
    tally_.first_ = std::min(tally_.first_, Time(milliseconds(first_)));
    tally_.last_ = std::max(tally_.last_, Time(milliseconds(last_)));
  }

 private:
  // kPatterns: a word that is no pattern.
  std::size_t pattern(const CellKey& key) const {
    const auto word = static_cast<std::size_t>(key.words[kPattern]);
    return word < patterns_.size() ? patterns_[word] : std::size_t{classifier::kPatterns};
  }

  void add_network(std::string_view text, Time time, const CellKey& key, std::uint64_t weight) {
    auto* network = tally_.network(text);
    if (network == nullptr) return;
    network->first = std::min(network->first, time);
    network->last = std::max(network->last, time);
    add(network->patterns[pattern(key)], weight);
    const auto would = static_cast<std::size_t>(key.words[kWould]);
    if (would < refusals_.size() && refusals_[would]) add(network->would_refuse, weight);
  }

  // Saturates.
  static void add(std::uint32_t& sum, std::uint64_t weight) {
    sum = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum + weight, UINT32_MAX));
  }

  Tally& tally_;
  const OpenFile& file_;
  const ClientCondition& client_;
  const std::int64_t bin_;
  std::unordered_map<CellKey, Count, HashCell> cells_;
  // By the number of a word.
  std::vector<std::size_t> patterns_;
  std::vector<bool> refusals_;
  std::int64_t first_ = INT64_MAX;
  std::int64_t last_ = INT64_MIN;
};

void Tally::add_file(OpenFile& file, const Selection& selection, const ClientCondition& client) {
  auto condition = file.condition(selection);
  client.add_to(condition);
  auto rows = file.prepare(select(file, condition, client.needs_rows()), condition, 2);
  // From one id to the next that is there, because a file that another program has written may have
  // gaps of any size.
  auto next = file.prepare("SELECT min(id) FROM messages WHERE id >= ?", {});
  const auto first_from = [&next](std::int64_t id) {
    next.bind(1, id);
    std::optional<std::int64_t> first;
    if (next.step() && !next.is_null(0)) first = next.integer(0);
    next.reset();
    return first;
  };
  Rows all(*this, file, client);
  for (const auto& range : file.ranges(condition)) {
    for (auto begin = first_from(range.first); begin && *begin <= range.last;) {
      const std::int64_t last = last_at_once(*begin, range.last);
      rows.bind(1, *begin);
      rows.bind(2, last);
      while (rows.step()) all.add(rows);
      rows.reset();
      begin = last == range.last ? std::nullopt : first_from(last + 1);
    }
  }
  all.finish();
}

void Tally::add_hour(const memory::HourCount& hour) {
  const Time time = Time(std::chrono::hours(hour.hour));
  const auto bin = milliseconds(request_.bin);
  const auto messages = static_cast<std::uint64_t>(std::max<std::int64_t>(hour.messages, 0));
  if (messages == 0) return;
  add_cell(time - time.time_since_epoch() % bin,
           {.pattern = hour.pattern, .gait = hour.gait, .action = hour.action}, {messages, 0});
}

void Tally::add_cell(Time time, Labels labels, const Count& count) {
  cells_[{time, std::move(labels)}] += count;
}

Tally::Network* Tally::network(std::string_view text) {
  const auto found = networks_.find(text);
  if (found != networks_.end()) return &found->second;
  if (networks_.size() == Counts::kMostNetworks) {
    networks_are_full_ = true;
    return nullptr;
  }
  return &networks_.emplace(text, Network{}).first->second;
}

void Tally::take_networks(Counts& counts) const {
  counts.distinct_networks = networks_.size();
  counts.networks_are_full = networks_are_full_;
  struct Place {
    std::uint64_t messages;
    const std::string* text;
    const Network* network;
  };
  std::vector<Place> all;
  all.reserve(networks_.size());
  for (const auto& [text, network] : networks_) {
    all.push_back({network.messages(), &text, &network});
    for (std::size_t i = 0; i < classifier::kPatterns; ++i) {
      counts.networks_of_pattern[i] += network.patterns[i] > 0 ? 1 : 0;
    }
  }
  const auto some = std::min(all.size(), request_.networks);
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(some), all.end(),
                    [](const Place& a, const Place& b) {
                      return a.messages != b.messages ? a.messages > b.messages : *a.text < *b.text;
                    });
  all.resize(some);
  for (const auto& [messages, text, network] : all) {
    auto& added = counts.networks.emplace_back(NetworkCount{.network = *text,
                                                            .messages = messages,
                                                            .would_refuse = network->would_refuse,
                                                            .first = network->first,
                                                            .last = network->last});
    std::copy_n(network->patterns.begin(), added.patterns.size(), added.patterns.begin());
  }
}

Counts Tally::take() {
  Counts counts;
  for (auto& [place, count] : cells_) counts.cells.push_back({place.first, place.second, count});
  take_networks(counts);
  if (last_ >= first_) {
    counts.first = first_;
    counts.last = last_;
  }
  return counts;
}

}  // namespace history
