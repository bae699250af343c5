// Which entry of the book fits a message, and which ones the message rules out.
//
// What decides an entry's place is how much of it was seen to hold: an entry that says more wins
// over one that says less, and two that hold alike are no answer. "unknown" is better than a guess
// among twins; twins that are known to be twins share one entry. Pure functions; any thread.
#include <algorithm>

#include "classifier/dialogue_words.h"
#include "classifier/gait.h"
#include "classifier/stream.h"

namespace classifier {
namespace {

constexpr std::uint32_t kReceived = bit_of("received");
constexpr std::uint32_t kRcptAhead = bit_of("rcpt-ahead");
constexpr std::uint32_t kDataAhead = bit_of("data-ahead");
static_assert(kReceived != 0 && kRcptAhead != 0 && kDataAhead != 0);

// Is a message without a cut what a writer of `block` sends? Either it fits into one, or every
// block is a whole number of segments.
bool hides_blocks(std::uint32_t block, const Traits& traits) {
  if (traits.size <= block) return true;
  return traits.full != 0 && block % traits.full == 0;
}

bool first_fits(const Gait& gait, const Traits& traits) {
  if ((gait.first & traits.first) != 0) return true;
  if (traits.offset == 0) {
    const auto hides = [&](std::uint32_t block) {
      return block != 0 && hides_blocks(block, traits);
    };
    return std::any_of(gait.line_blocks.begin(), gait.line_blocks.end(), hides) ||
           std::any_of(gait.blocks.begin(), gait.blocks.end(), hides);
  }
  constexpr std::uint32_t kLongestLine = 1000;  // RFC 5321, 4.5.3.1.6
  const auto lines = [&](std::uint32_t block) {
    return block != 0 && traits.offset <= block + traits.slack &&
           traits.offset + kLongestLine > block;
  };
  if (traits.line_end && std::any_of(gait.line_blocks.begin(), gait.line_blocks.end(), lines)) {
    return true;
  }
  return std::any_of(gait.blocks.begin(), gait.blocks.end(), [&](std::uint32_t block) {
    return block != 0 && first_of_blocks(block, traits);
  });
}

bool greeting_fits(const Gait& gait, const Traits& traits) {
  return traits.no_offer ? gait.ehlo : (traits.helo ? gait.helo : gait.ehlo);
}

// How much of the entry was seen to hold; 0: it does not. The writes weigh most, since a dialogue
// is easily copied.
constexpr int kTalkHolds = 4;
constexpr int kWordHolds = 2;
constexpr int kFirstHolds = 6;
constexpr int kWayHolds = 2;
constexpr int kHelloHolds = 3;

// Few bits are set: std::popcount, a call where the processor's instruction for it may not be used,
// takes longer. A match asks twice for each entry of the book.
int popcount(std::uint32_t bits) {
  int count = 0;
  for (; bits != 0; bits &= bits - 1) ++count;
  return count;
}

// A program gives a server's name or not by how it was told to call it, and that changes the first
// part of the print: a flag, and a count of extensions. The digests tell the library.
bool same_library(const std::array<char, kJa4Size>& a, const std::array<char, kJa4Size>& b) {
  constexpr std::ptrdiff_t kDigests = 10;
  return std::equal(a.begin() + kDigests, a.end(), b.begin() + kDigests);
}

template <typename Way>
bool way_holds(Way wanted, Way seen, int& weight) {
  if (wanted == Way::Any || seen == Way::Any) return true;
  weight += kWayHolds;
  return wanted == seen;
}

// As way_holds, but what is seen may be less sharp than what is wanted, and the other way round.
bool dot_holds(DotWay wanted, DotWay seen, int& weight) {
  const bool seen_apart = seen != DotWay::Any && seen != DotWay::Joined;
  switch (wanted) {
    case DotWay::Alone3:  // a pause in front of it: seen on any path
      weight += kWayHolds;
      return seen == DotWay::Apart3 || seen == DotWay::Apart;
    case DotWay::Apart:  // all that tells it from the many that write at once: has to be seen
      weight += kWayHolds;
      return seen_apart;
    case DotWay::Apart3:
    case DotWay::Apart5:
      return way_holds(wanted, seen == DotWay::Apart ? wanted : seen, weight);
    case DotWay::Any:
    case DotWay::Joined:
      break;
  }
  return way_holds(wanted, seen, weight);
}

// How well an entry fits, and whether something was seen that speaks for it. An entry that fits
// only because nothing objects stands in the way of others, and names nothing.
struct Fit {
  int weight = 0;       // 0: it does not fit
  bool told = false;    // for this entry alone
  bool spoken = false;  // for it, or for one that differs in nothing but what nobody heard
};

bool any_hello(const Gait& gait, const Traits& traits) {
  return std::any_of(gait.hellos.begin(), gait.hellos.end(),
                     [&](const auto& print) { return same_library(print, traits.hello); });
}

// No end of a write in a message of more than two of the largest usual buffers, or of more than a
// usual one whose terminator was seen to come with the rest: a single write is then seen, and not
// only not contradicted.
constexpr std::uint32_t kShowsOneWrite = 2 * 8192;
constexpr std::uint32_t kShowsJoinedWrite = 4096;
constexpr std::uint32_t kShowsThroughRepair = 65536;

// Where a relay of any program's message ends its first write: 1024 (microsocks), 2048 (tinyproxy),
// 8192 (socat, redir, simpleproxy, ncat) and 16384 (rinetd) were recorded.
bool ends_as_relays_do(std::uint32_t offset) {
  return offset == 1024 || offset == 2048 || (offset != 0 && offset % 8192 == 0);
}

// What a client says before its message that is a habit of few, where it greets with EHLO; SIZE is
// said by many.
constexpr std::uint32_t kWordsOfFew = (kHabits | kExtensions) & ~(kSizes | bit_of("size"));

// Where a writer of lines ends its first write, whatever it does then.
constexpr std::uint16_t kAnyLineWriter = kFirstLine | kFirstField | kFirstHeaderLine;

// The writes speak for the entry: its first one ends where the entry says, and what makes that end
// one of few was seen too; or the message was one write, in the entry and to be seen.
bool writes_speak(const Gait& gait, const Traits& traits, std::uint32_t required) {
  const bool seen_apart = traits.dot != DotWay::Any && traits.dot != DotWay::Joined;
  const bool apart = gait.dot != DotWay::Any && gait.dot != DotWay::Joined && seen_apart;
  // DATA in the write of the commands before it is a write of few programs, too.
  const bool ahead = (required & kDataAhead) != 0;
  const bool body = gait.body != BodyWay::Any && traits.body == gait.body;
  if (traits.offset == 0) {
    // A block that hides says nothing, and nor does a terminator behind it.
    if ((gait.first & kFirstNone) == 0) return false;
    if (apart || (required & kHabits) != 0) return true;
    // A terminator of its own hides behind the first flight. An entry that has one needs words that
    // few programs say: MAIL and RCPT in one write.
    const bool dot =
        gait.dot == DotWay::Joined || gait.dot == DotWay::Any || (required & kRcptAhead) != 0;
    if (traits.every || !dot) return false;
    if (!traits.clean) return traits.size > kShowsThroughRepair;
    return traits.size > (traits.dot == DotWay::Joined ? kShowsJoinedWrite : kShowsOneWrite);
  }
  // Under TLS, where only sizes tell of a place: as long as other places are possible, the rest of
  // the writes has to speak.
  const bool guessed =
      traits.every && (traits.first & ~gait.first) != 0 && (traits.first & gait.first) != 0;
  if (guessed) return body || apart;
  // A relay's buffer may stand in front of anybody, and under TLS, where no relay changes the
  // records, a script may write in blocks of the same size.
  const bool by_block = (gait.first & traits.first) == 0 && gait.line_blocks[0] == 0;
  if (by_block && gait.ehlo &&
      (ends_as_relays_do(traits.offset) || ends_as_relays_do(gait.blocks[0]))) {
    if ((required & kWordsOfFew) == 0) return false;
  }
  // Every writer of lines makes this cut: what an entry says of the rest has to be seen as well.
  const bool common = (gait.first & traits.first & kAnyLineWriter) != 0;
  const bool more = gait.body != BodyWay::Any || gait.dot != DotWay::Any;
  // A relay that reads the first line alone and the others together writes them so, too.
  if (common && gait.body == BodyWay::Bulk && !traits.every) return body && seen_apart;
  return !common || !more || body || ahead || apart;
}

Fit fit(const Gait& gait, const Traits& traits) {
  if (!greeting_fits(gait, traits)) return {};
  const std::uint32_t ignored = (traits.no_offer ? kExtensions : 0) | traits.untold;
  const std::uint32_t required = gait.required & ~ignored;
  if ((traits.talk & required) != required) return {};
  if ((traits.talk & gait.forbidden & ~ignored) != 0) return {};
  // Content and circumstances may be anybody's: a foreign Received stands in the text of many.
  int weight = kTalkHolds + kWordHolds * popcount(required & (kHabits | kExtensions));
  // What was said where nobody could hear it speaks for no entry, and a little for the plainer one.
  weight -= popcount(gait.required & traits.untold);
  const bool unheard = (gait.required & traits.untold) != 0;
  // A dialogue of which half was said under TLS is not enough.
  const bool enough = gait.talk_is_enough && !unheard;
  const bool hello = any_hello(gait, traits);
  if (hello) weight += kHelloHolds;
  // Where only what nobody has heard tells a program from the many, its hello has to.
  const bool heard = hello || !unheard;
  if (traits.first == 0) return enough ? Fit{weight, heard, true} : Fit{};
  if (first_fits(gait, traits)) {
    // A block that hides is no objection, and no support.
    const bool hides = traits.offset == 0 && (gait.first & traits.first) == 0;
    if (!hides) weight += kFirstHolds;
  } else if (traits.clean || !enough) {
    return {};
  }
  if (!way_holds(gait.body, traits.body, weight)) return {};
  if (!dot_holds(gait.dot, traits.dot, weight)) return {};
  if (!way_holds(gait.nagle, traits.nagle, weight)) return {};
  const bool hidden = traits.offset == 0 && (gait.first & kFirstNone) == 0;
  const bool speaks = enough || (hello && !hidden) || writes_speak(gait, traits, required);
  const bool half = gait.talk_is_enough && (required & (kHabits | kExtensions)) != 0;
  return {weight, heard && speaks, speaks || half};
}

// Both fit, and what would tell one from the other was not seen, whatever else speaks for one of
// them: whether the body came in bulk or by lines; or a word that one asks for, the other refuses,
// and nobody heard, unless the hello of one tells.
bool told_apart_unseen(const Gait& a, const Gait& b, const Traits& traits) {
  const bool bodies = a.body != b.body && a.body != BodyWay::Any && b.body != BodyWay::Any;
  if (bodies && traits.body == BodyWay::Any) return true;
  const std::uint32_t opposed = (a.required & b.forbidden) | (b.required & a.forbidden);
  return (opposed & traits.untold) != 0 && any_hello(a, traits) == any_hello(b, traits);
}

// Where an entry rests on whether the text has a Received, which nobody heard, its hello has to
// tell; and one that another entry has too is a library's, and tells no program.
bool same_library_unheard(const Gait& best, const Gait& other, const Traits& traits) {
  const bool rests = ((best.required | best.forbidden) & kReceived & traits.untold) != 0;
  return rests && any_hello(best, traits) && any_hello(other, traits);
}

}  // namespace

Guess GaitBook::match(const Traits& traits) const {
  const Gait* best = nullptr;
  Fit most;
  std::size_t fitting = 0;
  bool twice = false;
  bool spoken = false;
  bool one_class = true;
  for (const Gait& gait : gaits_) {
    const Fit found = fit(gait, traits);
    if (found.weight == 0) continue;
    ++fitting;
    spoken = spoken || (found.spoken && names_programs(gait.basis));
    one_class = one_class && (best == nullptr || best->kind == gait.kind);
    if (found.weight < most.weight) continue;
    twice = found.weight == most.weight;
    most = found;
    best = &gait;
  }
  if (best == nullptr) return {};
  const auto rivals = [&](const Gait& gait) {
    if (&gait == best) return false;
    if (same_library_unheard(*best, gait, traits)) return true;
    return told_apart_unseen(*best, gait, traits) && fit(gait, traits).weight != 0;
  };
  const bool named = !twice && most.told && names_programs(best->basis) &&
                     std::none_of(gaits_.begin(), gaits_.end(), rivals);
  if (named) return {best, best->kind};
  if (fitting < 2 || !spoken || !one_class) return {};
  return {nullptr, best->kind};
}

namespace {

// What lies between a program and us may have cut its writes again: a path of another usual segment
// size, a relay whose buffer is a power of two of kilobytes, the edge of a receiver's window, which
// most systems keep a multiple of 1024. Such an end rules no program out.
bool cut_by_others(const Gait& gait, const Traits& traits) {
  constexpr std::uint32_t kUsual[] = {kKilobyte, 1460, 1448, 1440, 1428, 1420, 1412,
                                      1400,      1380, 1368, 1360, 1347, 1220, 1208};
  const auto divides = [&](std::uint32_t size) { return traits.offset % size == 0; };
  if (std::any_of(std::begin(kUsual), std::end(kUsual), divides)) return true;
  return std::any_of(gait.blocks.begin(), gait.blocks.end(), [&](std::uint32_t block) {
    if (block == 0) return false;
    const std::uint32_t times = (traits.offset + block / 2) / block;
    const std::uint32_t ideal = times * block;
    const std::uint32_t off = traits.offset > ideal ? traits.offset - ideal : ideal - traits.offset;
    return times != 0 && off <= (block % 2) * times;
  });
}

}  // namespace

bool GaitBook::excludes(std::string_view name, const Traits& traits) const {
  const Gait* gait = find(name);
  if (gait == nullptr || traits.no_offer || traits.untold != 0) return false;
  if (gait->basis != Basis::Recorded) return false;
  if (!greeting_fits(*gait, traits)) return true;
  if ((traits.talk & gait->forbidden & kHabits) != 0) return true;
  // Below an ordinary segment size the path may have moved, and cut again what the program wrote.
  constexpr std::uint32_t kOrdinaryFull = 1200;
  return traits.clean && traits.full >= kOrdinaryFull && traits.first != 0 &&
         !first_fits(*gait, traits) && !cut_by_others(*gait, traits);
}

}  // namespace classifier
