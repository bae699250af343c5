#include "milter/memory/teaching.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "milter/log/log.h"
#include "milter/reputation/forget.h"

namespace memory {
namespace {

using namespace std::chrono_literals;

// A minute, and one more for this many entries: the file costs the disk 2 MB a minute at most.
constexpr auto kSaveEvery = 60s;
constexpr std::size_t kSaveEntries = 50'000;
// How many rows of the day files are read in a turn of the timer: some milliseconds of work.
constexpr unsigned kRebuildRows = 5000;
// How many requests of `segmilter forget` are done in a turn: the table is searched once for them.
constexpr std::size_t kForgetAtOnce = 8;

reputation::Time now_seconds() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

bool is_truncated(const config::Config& config) {
  return config.memory.addresses == config::Memory::Addresses::Truncated;
}

}  // namespace

reputation::Lesson lesson_of(const Sighting& sighting) {
  double score = sighting.verdict.score;
  const auto& reasons = sighting.verdict.reasons;
  for (std::size_t at = 0; at < reasons.size(); ++at) {
    if (reasons.because(at) == classifier::Because::Added) score -= reasons.added(at).weight;
  }
  // The weights of reasons have the precision of a float.
  return reputation::own_lesson(std::round(score * 1000) / 1000, sighting.helo.confirmed);
}

Teaching::Teaching(const config::Config& config, int table, reputation::Counters& counters)
    : enabled_(config.reputation.enabled),
      folder_(config.memory.folder),
      forget_requests_(folder_),
      truncated_(is_truncated(config)),
      rules_(reputation::start_rules(config)),
      table_(table),
      learner_(table_, counters),
      counters_(counters),
      next_save_(now_seconds() + kSaveEvery) {
  begin(now_seconds());
}

std::string Teaching::state_file() const {
  return fmt::format("{}/{}", folder_, reputation::kStateFile);
}

void Teaching::begin(Time now) {
  table_.use_keys(rules_.keys.check());
  if (table_.is_filled()) return;
  // The last process may have ended while it filled the table, and a row must not teach twice.
  (void)table_.remove_if([](const auto&) { return true; });
  auto found = reputation::StateFound::None;
  try {
    found = load_state(state_file(), table_, rules_.keys.check(), now);
  } catch (const std::system_error& error) {
    logging::error(error.what());
  }
  if (found == reputation::StateFound::Whole) {
    table_.set_filled();
    drop_addresses();
    count();
    logging::info(fmt::format("reputation: {} entries from {}", table_.entries(), state_file()));
    return;
  }
  if (found == reputation::StateFound::Damaged) {
    logging::error(state_file() + ": is damaged; reputations are rebuilt from the day files");
  }
  rebuild_ = std::make_unique<Rebuild>(folder_);
}

void Teaching::drop_addresses() {
  if (!truncated_) return;
  (void)table_.remove_if(
      [](const auto& entry) { return entry.key.kind == reputation::Kind::Address; });
}

reputation::Origin Teaching::origin(const net::Endpoint& client, std::string_view gait) const {
  const auto facts = rules_.networks ? rules_.networks->find(client) : reputation::NetworkFacts{};
  return rules_.keys.origin(client, gait == "unknown" ? std::string_view() : gait, facts.asn);
}

void Teaching::learn(const reputation::Origin& origin, const reputation::Lesson& lesson,
                     memory::Time time, Time now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  learner_.learn(origin, lesson, std::min(seconds, now), now);
}

void Teaching::take(const Sighting& sighting) {
  // The rebuild finds it in the store.
  if (!enabled_ || !sighting.client || rebuild_) return;
  learn(origin(*sighting.client, sighting.verdict.gait), lesson_of(sighting), sighting.time,
        now_seconds());
}

void Teaching::take_past(const PastMessage& message, Time now) {
  // A network without its address stands for itself: "192.0.2.0/24".
  const bool lost = message.address.empty();
  const auto& text = lost ? message.network : message.address;
  const auto client = net::Endpoint::parse_address(text.substr(0, text.find('/')), 0);
  if (!client) return;  // keyed, or unknown
  auto from = origin(*client, message.gait);
  // Not where the table has no addresses: there the network is judged as a whole.
  from.lost_address = lost && from.address;
  if (lost) from.address.reset();
  learn(from, message.lesson, message.time, now);
}

void Teaching::rebuild_some(Time now) {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  try {
    if (rebuild_->step(kRebuildRows, today,
                       [&](const PastMessage& message) { take_past(message, now); })) {
      return;
    }
  } catch (const std::system_error& error) {
    logging::error(fmt::format("{}; reputations begin anew", error.what()));
  }
  rebuild_.reset();
  table_.set_filled();
  count();
  if (table_.entries() == 0) return;  // a new service: there was nothing to read
  logging::info(fmt::format("reputation: {} entries from the day files", table_.entries()));
}

void Teaching::save_some(Time now) {
  const auto every = kSaveEvery * (1 + table_.entries() / kSaveEntries);
  // A clock that was set back must not put the next pass off for long.
  next_save_ = std::min<Time>(next_save_, now + every);
  if (!saving_ && now < next_save_) return;
  try {
    if (!saving_) {
      next_save_ = now + every;
      saving_ =
          std::make_unique<reputation::StateWriter>(state_file(), table_, rules_.keys.check());
    }
    if (!saving_->step(now)) return;
    (void)table_.remove_if([now](const auto& entry) { return entry.is_over(now); });
    if (std::exchange(failed_, false)) {
      logging::info(state_file() + ": is written again");
    }
  } catch (const std::system_error& error) {
    // The table itself is not affected. The file of the last pass stays.
    if (!std::exchange(failed_, true)) logging::error(error.what());
  }
  saving_.reset();
}

void Teaching::save() {
  if (rebuild_) return;  // half of it would be taken for all at the next start
  saving_.reset();
  next_save_ = now_seconds();
  do {
    save_some(now_seconds());
  } while (saving_);
}

void Teaching::forget_requested() {
  std::vector<std::function<bool(const reputation::Entry&)>> unwanted;
  for (const auto& who : forget_requests_.take(kForgetAtOnce)) {
    unwanted.push_back(reputation::entries_of(rules_.keys, who));
  }
  if (unwanted.empty()) return;
  const auto removed = table_.remove_if([&unwanted](const auto& entry) {
    return std::any_of(unwanted.begin(), unwanted.end(),
                       [&entry](const auto& is_of) { return is_of(entry); });
  });
  // A pass that is under way may have written these entries already.
  saving_.reset();
  next_save_ = now_seconds();
  logging::info(fmt::format("reputation: {} entries are forgotten", removed));
}

void Teaching::count() {
  counters_.entries = table_.entries();
  counters_.evictions += table_.evictions() - std::exchange(evictions_, table_.evictions());
  counters_.refused += table_.refused() - std::exchange(refused_, table_.refused());
}

void Teaching::tick() {
  const auto now = now_seconds();
  // Nobody asks the table while reputations are turned off: the day files can wait.
  if (rebuild_ && enabled_) {
    rebuild_some(now);
  } else {
    forget_requested();
    if (!rebuild_) save_some(now);
  }
  count();
}

void Teaching::reload(const config::Config& config) {
  enabled_ = config.reputation.enabled;
  try {
    rules_ = reputation::read_rules(config);
  } catch (const std::runtime_error& error) {
    return logging::error(fmt::format("{}; reputations are learnt as before", error.what()));
  }
  truncated_ = is_truncated(config);
  saving_.reset();
  table_.use_keys(rules_.keys.check());
  // With other keys the rows of the store have other forms too, so the table begins anew.
  if (!rebuild_) table_.set_filled();
  drop_addresses();
}

}  // namespace memory
