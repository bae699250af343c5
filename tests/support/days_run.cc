#include "tests/support/days_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/memory/store.h"
#include "milter/memory/teaching.h"
#include "milter/reputation/reader.h"
#include "tests/support/simulated_days.h"

namespace simulation {
namespace {

using Clock = std::chrono::steady_clock;
using classifier::Pattern;

// Real traces with what the classifier says of them, by the senders that write like that.
class Shapes {
 public:
  explicit Shapes(const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() == ".trace") read(entry.path());
    }
    for (const auto& shapes : by_sender_) {
      if (shapes.empty()) throw std::runtime_error(folder + ": has no traces of some senders");
    }
  }

  const memory::Sighting& choose(const Mail& mail) const {
    // Unwanted mail of a server that is broken into is written by the server's program.
    const auto& shapes = by_sender_[static_cast<std::size_t>(mail.sender)];
    return shapes[mail.random % shapes.size()];
  }

 private:
  void read(const std::filesystem::path& file) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      auto parsed = classifier::parse_trace(line);
      if (auto* trace = std::get_if<classifier::Trace>(&parsed)) add(std::move(*trace));
    }
  }

  void add(classifier::Trace trace) {
    memory::Sighting sighting;
    sighting.trace = std::move(trace);
    sighting.listener = "mx";
    sighting.verdict = classifier::classify(sighting.trace, {});
    switch (sighting.verdict.pattern) {
      case Pattern::OfficialMta:
        put(Sender::Big, sighting);
        put(Sender::Small, sighting);
        break;
      case Pattern::KilobyteBlocks:
      case Pattern::LineWriter:
      case Pattern::GarageServer:
        put(Sender::Small, sighting);
        break;
      case Pattern::Mobile:
        put(Sender::Mobile, sighting);
        break;
      case Pattern::BotHeadersApart:
        put(Sender::Bot, sighting);
        break;
      case Pattern::BotTemplate:
        add_template(sighting);
        break;
      default:
        break;
    }
  }

  // There are fewer traces of templates than of the other bots, and most such bots do not wait for
  // the greeting.
  void add_template(memory::Sighting sighting) {
    put(Sender::Bot, sighting);
    sighting.trace.dialogue.early_talker = true;
    sighting.verdict = classifier::classify(sighting.trace, {});
    for (int i = 0; i < 4; ++i) put(Sender::Bot, sighting);
    put(Sender::Mobile, sighting);
  }

  void put(Sender sender, const memory::Sighting& sighting) {
    by_sender_[static_cast<std::size_t>(sender)].push_back(sighting);
  }

  std::array<std::vector<memory::Sighting>, kSenders> by_sender_;
};

class Run {
 public:
  explicit Run(const Settings& settings)
      : settings_(settings),
        shapes_(settings.traces),
        fd_(reputation::make_table()),
        table_(fd_.get()),
        learner_(table_, counters_),
        keys_(config_.memory) {
    table_.use_keys(keys_.check());
    if (settings.folder.empty()) return;
    config_.memory.folder = settings.folder;
    store_.emplace(settings.folder);
  }

  Result run() {
    const auto begin = std::chrono::sys_days(std::chrono::year(2026) / 11 / 25);
    Days days(settings_.seed, settings_.messages, begin);
    Mail mail;
    while (days.next(mail)) {
      take(mail, mail.time >= begin + Days::kLength / 2);
    }
    write();
    finish();
    return result_;
  }

 private:
  void take(const Mail& mail, bool is_second_day) {
    ++result_.messages;
    if (mail.unwanted) ++result_.unwanted;
    memory::Sighting sighting = shapes_.choose(mail);
    sighting.time = mail.time;
    sighting.client = mail.client;
    sighting.helo.confirmed = mail.confirmed;
    sighting.queue_id = fmt::format("4Q{:08X}", result_.messages);
    const auto began = Clock::now();
    learn(mail, sighting, is_second_day);
    result_.reputation_seconds += std::chrono::duration<double>(Clock::now() - began).count();
    if (!store_) return;
    batch_.push_back(std::move(sighting));
    if (batch_.size() == 500) write();
  }

  void learn(const Mail& mail, const memory::Sighting& sighting, bool is_second_day) {
    const auto now = std::chrono::floor<std::chrono::seconds>(mail.time);
    const auto gait = sighting.verdict.named() ? std::string_view(sighting.verdict.gait) : "";
    const auto origin = keys_.origin(mail.client, gait, mail.asn);
    if (is_second_day) judge(origin, mail.unwanted, now);
    auto lesson = memory::lesson_of(sighting);
    // The low bits have chosen the trace.
    if (mail.random >> 8 < settings_.labels * (1 << 24)) {
      lesson = {.label = mail.unwanted ? 1.0 : 0.0, .trust = 1};
    }
    learner_.learn(origin, lesson, now, now);
  }

  reputation::Sums sums(const reputation::Key& key, reputation::Time now) const {
    const auto entry = table_.find(key);
    return entry ? entry->sums(now) : reputation::Sums{};
  }

  void judge(const reputation::Origin& origin, bool unwanted, reputation::Time now) {
    std::vector<reputation::Known> levels;
    for (const auto& key :
         {origin.asn, std::optional(origin.network), origin.address, origin.gait}) {
      if (!key) continue;
      if (const auto entry = table_.find(*key)) levels.push_back({key->kind, {}, entry->sums(now)});
    }
    const auto site = sums(reputation::kSite, now);
    const auto standing = combine(site, levels);
    chain_.add(standing.rate, unwanted);
    (unwanted ? result_.term_unwanted : result_.term_wanted) += standing.term;
    std::erase_if(levels,
                  [](const auto& level) { return level.kind != reputation::Kind::Address; });
    address_.add(combine(site, levels).rate, unwanted);
  }

  void write() {
    if (batch_.empty()) return;
    const auto began = Clock::now();
    const auto written = store_->write(batch_, memory::AddressForm(config_.memory));
    if (!written.error.empty()) throw std::runtime_error(written.error);
    result_.stored += written.rows;
    batch_.clear();
    result_.store_seconds += std::chrono::duration<double>(Clock::now() - began).count();
  }

  void finish() {
    result_.chain = chain_.quality();
    result_.address = address_.quality();
    const auto unwanted = std::count_if(chain_.rows.begin(), chain_.rows.end(),
                                        [](const auto& row) { return row.unwanted; });
    result_.term_unwanted /= static_cast<double>(std::max<std::ptrdiff_t>(1, unwanted));
    result_.term_wanted /= static_cast<double>(
        std::max<std::ptrdiff_t>(1, static_cast<std::ptrdiff_t>(chain_.rows.size()) - unwanted));
    result_.lessons_bad = counters_.learnt_bad;
    result_.lessons_good = counters_.learnt_good;
    result_.entries = table_.entries();
    result_.evictions = table_.evictions();
    result_.refused = table_.refused();
  }

  const Settings settings_;
  const Shapes shapes_;
  config::Config config_;
  net::Fd fd_;
  reputation::TableWriter table_;
  reputation::Counters counters_;
  reputation::Learner learner_;
  reputation::Keys keys_;
  std::optional<memory::Store> store_;
  std::vector<memory::Sighting> batch_;
  Ranking chain_;
  Ranking address_;
  Result result_;
};

}  // namespace

Quality Ranking::quality() const {
  Quality quality;
  auto sorted = rows;
  std::sort(sorted.begin(), sorted.end(),
            [](const Row& a, const Row& b) { return a.estimate < b.estimate; });
  // The rank of a tie is the middle of its places.
  double bad = 0;
  double ranks = 0;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t end = i;
    while (end < sorted.size() && sorted[end].estimate == sorted[i].estimate) ++end;
    for (std::size_t k = i; k < end; ++k) {
      if (!sorted[k].unwanted) continue;
      ++bad;
      ranks += static_cast<double>(i + end + 1) / 2;
    }
    i = end;
  }
  const double good = static_cast<double>(rows.size()) - bad;
  if (bad > 0 && good > 0) quality.auc = (ranks - bad * (bad + 1) / 2) / (bad * good);
  constexpr std::size_t kBins = 20;
  std::array<double, kBins> differences{};
  for (const Row& row : rows) {
    const auto bin = std::min(kBins - 1, static_cast<std::size_t>(row.estimate * kBins));
    differences[bin] += row.estimate - (row.unwanted ? 1 : 0);
  }
  for (const double difference : differences) {
    quality.ece +=
        std::abs(difference) / static_cast<double>(std::max<std::size_t>(1, rows.size()));
  }
  return quality;
}

Result run_days(const Settings& settings) {
  return Run(settings).run();
}

}  // namespace simulation
