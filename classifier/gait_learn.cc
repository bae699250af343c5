#include "classifier/gait_learn.h"

#include <fmt/format.h>

#include <algorithm>

#include "classifier/dialogue_words.h"
#include "classifier/gait.h"

namespace classifier {
namespace {

// Returns what all messages agree on, and Any if they do not agree. A message that shows nothing
// has no vote.
template <typename Way, typename Get>
Way common(const std::vector<Traits>& messages, Get get) {
  Way all = Way::Any;
  for (const Traits& traits : messages) {
    const Way one = get(traits);
    if (one == Way::Any) continue;
    if (all != Way::Any && all != one) return Way::Any;
    all = one;
  }
  return all;
}

// Returns the buffer that explains every first cut; 0: there is none. The largest usual one is
// returned, since the ends of 4096 are multiples of 1024 as well.
std::uint32_t common_block(const std::vector<const Traits*>& cut) {
  for (const std::uint32_t block : {65536U, 32768U, 16384U, 8192U, 8189U, 4096U, 2048U, 1024U}) {
    const auto fits = [&](const Traits* traits) { return first_of_blocks(block, *traits); };
    if (!cut.empty() && std::all_of(cut.begin(), cut.end(), fits)) return block;
  }
  return 0;
}

// What content or circumstances bring is not a habit, even if every message has it.
void learn_talk(const std::vector<Traits>& messages, Gait& gait) {
  constexpr std::uint32_t kTelling = kHabits | kExtensions;
  gait.ehlo = gait.helo = false;
  std::uint32_t always = ~0U;
  std::uint32_t ever = 0;
  for (const Traits& traits : messages) {
    (traits.helo ? gait.helo : gait.ehlo) = true;
    if (traits.no_offer) continue;
    always &= traits.talk;
    ever |= traits.talk;
  }
  gait.required = ever == 0 ? 0 : always & kTelling;
  gait.forbidden = kTelling & ~ever;
}

// `told`: the messages of which the end of the first write is known.
void learn_first(const std::vector<const Traits*>& told, Gait& gait) {
  std::uint16_t shared = 0xffff;
  std::vector<const Traits*> cut;
  for (const Traits* traits : told) {
    if (traits->offset == 0) {
      gait.first |= kFirstNone;
    } else {
      cut.push_back(traits);
      shared &= traits->first;
    }
  }
  const std::uint32_t block = common_block(cut);
  if (block != 0) {
    gait.blocks[0] = block;
  } else if (!cut.empty() && shared != 0) {
    gait.first |= shared;
  } else {
    for (const Traits* traits : cut) gait.first |= traits->first;
  }
}

void learn_hellos(const std::vector<Traits>& messages, Gait& gait) {
  for (const Traits& traits : messages) {
    const bool known =
        std::find(gait.hellos.begin(), gait.hellos.end(), traits.hello) != gait.hellos.end();
    if (traits.hello.front() != 0 && !known && gait.hellos.size() < Gait::kMaxHellos) {
      gait.hellos.push_back(traits.hello);
    }
  }
}

}  // namespace

std::string learn(std::string_view name, const std::vector<Traits>& messages) {
  std::vector<const Traits*> told;
  for (const Traits& traits : messages) {
    if (traits.first != 0) told.push_back(&traits);
  }
  if (told.empty() || !is_gait_name(name)) return {};
  Gait gait;
  gait.name = name;
  gait.programs.emplace_back(name);
  gait.seen = fmt::format("learned from {} messages, {} of them cut into three segments or more",
                          messages.size(), told.size());
  learn_talk(messages, gait);
  learn_first(told, gait);
  gait.body = common<BodyWay>(messages, [](const Traits& traits) { return traits.body; });
  gait.dot = common<DotWay>(messages, [](const Traits& traits) { return traits.dot; });
  gait.nagle = common<NagleSeen>(messages, [](const Traits& traits) { return traits.nagle; });
  learn_hellos(messages, gait);
  return print(gait);
}

}  // namespace classifier
