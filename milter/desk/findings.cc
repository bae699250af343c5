#include "milter/desk/findings.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/page/drawing.h"

namespace desk {
namespace {

using classifier::kPatterns;
using history::Cell;
using history::Counts;

constexpr std::size_t kHardest = 20;
constexpr std::size_t kSameId = 5;  // Postfix uses short queue ids again

Time align(Time time, std::chrono::milliseconds unit) {
  return time - time.time_since_epoch() % unit;
}

void add(Sum& sum, const Cell& cell) {
  const auto messages = cell.count.messages;
  sum.messages += messages;
  if (history::is_refusal(cell.labels.action)) sum.refused += messages;
  if (history::is_refusal(cell.labels.would)) sum.asked += messages;
}

std::size_t pattern_of(const Cell& cell) {
  const auto pattern = classifier::pattern_named(cell.labels.pattern);
  return static_cast<std::size_t>(pattern.value_or(classifier::Pattern::Unobserved));
}

void add(Group& group, const Cell& cell) {
  if (group.sum.messages == 0) group.first = cell.begin;
  group.last = cell.begin;  // cells come in the order of time
  add(group.sum, cell);
  group.patterns[pattern_of(cell)] += cell.count.messages;
}

bool has_more(const Group& a, const Group& b) {
  return a.sum.messages != b.sum.messages ? a.sum.messages > b.sum.messages : a.name < b.name;
}

std::vector<Group> groups_by(const Counts& counts, std::string history::Labels::*member) {
  std::map<std::string, Group> by_name;
  for (const Cell& cell : counts.cells) add(by_name[cell.labels.*member], cell);
  std::vector<Group> groups;
  for (auto& [name, group] : by_name) {
    group.name = name.empty() ? "none" : name;
    groups.push_back(std::move(group));
  }
  std::sort(groups.begin(), groups.end(), has_more);
  groups.resize(std::min(groups.size(), Overview::kMostGroups));
  return groups;
}

// What was done to the messages of a network is not counted, but what the score asked for is.
std::vector<Group> networks_of(const Counts& counts) {
  std::vector<Group> groups;
  for (const auto& network : counts.networks) {
    groups.push_back({.name = network.network,
                      .first = network.first,
                      .last = network.last,
                      .sum = {.messages = network.messages, .asked = network.would_refuse},
                      .patterns = network.patterns});
  }
  return groups;
}

std::vector<std::pair<std::string, std::uint64_t>> plain(
    const std::vector<std::pair<std::string, history::Count>>& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (const auto& [name, count] : counts) {
    if (!name.empty()) all.emplace_back(name, count.messages);
  }
  return all;
}

void add_to_bins(Overview& overview, const Cell& cell) {
  const auto bin = (cell.begin - overview.begin) / Overview::kBin;
  if (bin < 0 || bin >= static_cast<std::int64_t>(Overview::kBins)) return;
  overview.bins[static_cast<std::size_t>(bin)][pattern_of(cell)] += cell.count.messages;
}

void draw(Rows::Item& item) {
  const auto parsed = classifier::parse_trace(item.row.trace);
  if (const auto* trace = std::get_if<classifier::Trace>(&parsed)) {
    item.picture = page::mini_picture(*trace, classifier::classify(*trace, {}));
  }
}

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

// How many messages reach the threshold; nothing is asked where it is off.
std::uint64_t reaching(history::History& history, history::Selection selection, double threshold) {
  if (!std::isfinite(threshold)) return 0;
  selection.min_score = std::max(threshold, selection.min_score.value_or(threshold));
  return history.count(selection, {.bin = Overview::kSpan, .networks = 0}).all().messages;
}

}  // namespace

Overview find_overview(history::History& history, Time now) {
  Overview overview;
  const Time end = align(now, Overview::kBin) + Overview::kBin;
  overview.begin = end - Overview::kSpan;
  const auto counts = history.count({.from = overview.begin, .to = end},
                                    {.bin = Overview::kBin, .networks = Overview::kMostGroups});
  for (const Cell& cell : counts.cells) {
    add(overview.all, cell);
    add_to_bins(overview, cell);
  }
  overview.patterns = groups_by(counts, &history::Labels::pattern);
  overview.gaits = groups_by(counts, &history::Labels::gait);
  overview.networks = networks_of(counts);
  overview.distinct_networks = counts.distinct_networks;
  overview.networks_are_full = counts.networks_are_full;
  overview.unobserved = plain(counts.by(&history::Labels::reason));
  overview.actions = plain(counts.by(&history::Labels::action));
  overview.problems = counts.problems;
  return overview;
}

std::vector<Change> changes(const Overview& overview) {
  constexpr std::size_t kHour = std::chrono::hours(1) / Overview::kBin;
  constexpr double kTimes = 3;
  PatternCounts hour{};
  PatternCounts before{};
  for (std::size_t bin = 0; bin < Overview::kBins; ++bin) {
    auto& counts = bin + kHour < Overview::kBins ? before : hour;
    for (std::size_t i = 0; i < kPatterns; ++i) counts[i] += overview.bins[bin][i];
  }
  const auto sum = [](const PatternCounts& counts) {
    std::uint64_t all = 0;
    for (const auto count : counts) all += count;
    return all;
  };
  std::vector<Change> found;
  for (std::size_t i = 0; i < kPatterns; ++i) {
    const Change change{.pattern = static_cast<classifier::Pattern>(i),
                        .last_hour = hour[i],
                        .share = share(hour[i], sum(hour)),
                        .share_before = share(before[i], sum(before))};
    const bool has_grown = change.share >= kTimes * change.share_before;
    if (sum(before) != 0 && change.last_hour >= kFewest && has_grown) found.push_back(change);
  }
  return found;
}

Rows find_rows(history::History& history, const history::Selection& selection,
               const history::PageRequest& request) {
  auto page = history.page(selection, request);
  Rows rows{.items = {},
            .older = page.before,
            .is_newest = !request.before && !page.after,
            .problems = std::move(page.problems)};
  for (auto& row : page.rows) {
    Rows::Item item{std::move(row), {}};
    if (request.traces) draw(item);
    item.row.trace.clear();
    rows.items.push_back(std::move(item));
  }
  return rows;
}

Rows find_message(history::History& history, const std::string& queue_id,
                  const std::optional<history::Cursor>& at) {
  history::Selection selection;
  if (!queue_id.empty()) selection.queue_id.any = {queue_id};
  if (at) {
    selection.from = at->time;
    selection.to = at->time + std::chrono::milliseconds(1);
  }
  const std::size_t rows = at ? history::PageRequest::kMostRows : kSameId;
  auto page = history.page(selection, {.rows = rows, .traces = true});
  Rows found{.items = {}, .older = {}, .is_newest = true, .problems = std::move(page.problems)};
  for (auto& row : page.rows) {
    if (!at || row.at == *at) found.items.push_back({std::move(row), {}});
  }
  return found;
}

Estimate find_estimate(history::History& history, const history::Selection& selection,
                       const Thresholds& thresholds) {
  Estimate estimate;
  const auto& [tempfail, quarantine, reject] = thresholds;
  estimate.messages =
      history.count(selection, {.bin = Overview::kSpan, .networks = 0}).all().messages;
  estimate.reject = reaching(history, selection, reject);
  const auto held =
      std::isfinite(quarantine) ? reaching(history, selection, quarantine) : estimate.reject;
  const auto deferred = std::isfinite(tempfail) ? reaching(history, selection, tempfail) : held;
  estimate.quarantine = held - std::min(held, estimate.reject);
  estimate.tempfail = deferred - std::min(deferred, held);
  const double lowest = std::min({tempfail, quarantine, reject});
  if (!std::isfinite(lowest)) return estimate;
  history::Selection hard = selection;
  hard.min_score = std::max(lowest, selection.min_score.value_or(lowest));
  const auto counts = history.count(hard, {.bin = Overview::kSpan, .networks = kHardest});
  estimate.patterns = groups_by(counts, &history::Labels::pattern);
  estimate.gaits = groups_by(counts, &history::Labels::gait);
  estimate.networks = networks_of(counts);
  estimate.problems = counts.problems;
  estimate.hardest = find_rows(history, hard, {.rows = kHardest, .traces = true});
  return estimate;
}

}  // namespace desk
