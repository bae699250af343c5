#include "milter/reputation/reader.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "milter/log/log.h"

namespace reputation {
namespace {

std::string name_of(Kind kind, const net::Endpoint& client, std::string_view gait,
                    const NetworkFacts& facts) {
  switch (kind) {
    case Kind::Asn:
      return fmt::format("AS{}", facts.asn.value_or(0));
    case Kind::Network:
      return fmt::format("{}/{}", client.network().print_address(), client.is_v4() ? 24 : 48);
    case Kind::Address:
      return client.site().print_address() + (client.is_v4() ? "" : "/64");
    case Kind::Gait:
      return std::string(gait);
    case Kind::Site:
      break;
  }
  return {};
}

int tenths(double log_odds) {
  return static_cast<int>(std::lround(10 * log_odds));
}

template <typename Read>
auto read_for(std::string_view setting, Read read) {
  try {
    return read();
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(fmt::format("{}: {}", setting, error.what()));
  }
}

}  // namespace

Rules read_rules(const config::Config& config) {
  return {
      .keys = read_for("memory.key_file", [&] { return Keys(config.memory); }),
      .networks = read_for("reputation.networks",
                           [&] { return Networks::read(config.reputation.networks); }),
      .clamp = {.least = tenths(config.reputation.least), .most = tenths(config.reputation.most)},
  };
}

Rules start_rules(const config::Config& config) {
  try {
    return read_rules(config);
  } catch (const std::runtime_error& error) {
    if (config.reputation.networks.empty()) throw;
    auto without = config;
    without.reputation.networks.clear();
    auto rules = read_rules(without);
    logging::error(fmt::format("{}; nothing is known of networks until it can be read at a reload",
                               error.what()));
    return rules;
  }
}

std::shared_ptr<const Rules> Reader::rules() const {
  std::lock_guard lock(mutex_);
  return rules_;
}

void Reader::replace(Rules rules) {
  auto fresh = std::make_shared<const Rules>(std::move(rules));
  std::lock_guard lock(mutex_);
  rules_.swap(fresh);
}

std::optional<Standing> Reader::look_up(const net::Endpoint& client, std::string_view gait,
                                        Time now) const {
  if (gait == "unknown") gait = {};
  const auto rules = this->rules();
  const auto facts = rules->networks ? rules->networks->find(client) : NetworkFacts{};
  const Origin origin = rules->keys.origin(client, gait, facts.asn);
  const std::optional<Key> chain[] = {origin.asn, origin.network, origin.address, origin.gait};
  std::optional<Entry> entry;
  bool answered = table_.has_keys(rules->keys.check()) && table_.find(kSite, entry);
  const Sums site = entry ? entry->sums(now) : Sums{};
  std::vector<Known> levels;
  for (const auto& key : chain) {
    if (!key || !answered) continue;
    answered = table_.find(*key, entry);
    if (answered && entry) {
      levels.push_back({key->kind, name_of(key->kind, client, gait, facts), entry->sums(now)});
    }
  }
  ++(answered ? counters_.answered : counters_.unanswered);
  if (!answered) return std::nullopt;
  auto standing = combine(site, levels, rules->clamp);
  standing.network = facts;
  return standing;
}

}  // namespace reputation
