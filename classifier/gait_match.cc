// Which entry of the book fits a message, and which entries the message rules out. Pure functions;
// any thread.
//
// How a name is found
// -------------------
// A pattern cannot name a program: Postfix, Exim, curl and a bot may all write one message at once.
// Writes and dialogue together can, but a wrong name is worse than none. So each entry of the book
// is held against the message. First it must fit: nothing that was seen may contradict it. Then it
// gets a weight by what was seen to hold:
//
//     4  the dialogue fits          2  each word that the entry asks for, beyond that
//     6  the first write ends       2  the body's way, the terminator, Nagle: each
//        where the entry says       3  the hello is the entry's
//
//     tls=yes window=inferred talk=ehlo,rcpt-ahead,data-ahead,quit-with-dot rec=5297+6
//
//     postfix   4 + 2 x 2 - 1 + 6 + 2 = 15          with its hello: 18, the name
//     exim      4 + 2 x 2 - 1 + 6 + 2 = 15
//
// Both ask for MAIL, RCPT and DATA in one write, and for SIZE: Exim's is larger. SIZE was said
// under TLS and was not seen, so it costs 1 instead of earning 2. The two weigh alike, so there is
// no name, only their class: official-mta. With the hello of one of them, that one wins.
//
// The entry with the largest weight is the candidate, wherever it stands in the book, so a specific
// entry wins over a general one. It becomes the name only if
// * no other entry has the same weight,
// * something that was seen speaks for it, and not only nothing against it (writes_speak()),
// * no other fitting entry differs from it only in what was not seen (told_apart_unseen()),
// * its dialogue was recorded (names_programs()).
//
// What it costs: a match visits every entry, with a few operations on bits and at most eight
// blocks; it allocates nothing. The price in names: each rule takes away some right ones. With the
// rule about what was not seen, the wrong names of the programs' recordings fell from 0.029 to 0,
// and the right ones from 0.888 to 0.880. With the rule about relays, 1 of 114 messages of ten
// programs through eight relays has a wrong name instead of 15, and the right names of the
// programs' recordings fell from 0.733 to 0.704.
//
// What was tried otherwise: an entry that nothing contradicted was the answer. Then a mail
// appliance or a template got the name of the library that says least. Scripts had an entry for
// each size of their blocks. Now they share one, because a relay gives a message its own blocks.
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

// Can a writer of `block` have sent a message without a cut? Either the message fits into one
// block, or every block is a whole number of segments.
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

// The weight of each thing that was seen to hold. Writes weigh most, because a dialogue is easily
// copied. The numbers were chosen for the order that they give. The range after each number was
// measured: as long as only this number moves, and within the range, no figure of the recordings
// (tests/data) changes.
//   * 4 (0 to 10): every fitting entry gets it. It keeps the sum above 0 when words under TLS are
//     taken off, since a weight of 0 means that the entry does not fit.
//   * 6 (1 to 20): the end of the first write outweighs any two ways, or two words. At 0 the right
//     names of the corpus fall from 0.860 to 0.847.
//   * 2 (words 0 to 8, ways 1 to 8): a word or a way outweighs one word that could not be seen. If
//     ways have 0, the right names of the corpus fall to 0.853.
//   * 3 (0 to 8): a hello outweighs one word or one way, but not two, because libraries share it.
//     At 0 it would not separate Postfix from Exim under TLS, which gait_test demands.
// With a much larger 6, an entry with many words loses to any entry whose first write is known.
constexpr int kTalkHolds = 4;
constexpr int kWordHolds = 2;
constexpr int kFirstHolds = 6;
constexpr int kWayHolds = 2;
constexpr int kHelloHolds = 3;

// std::popcount is a call where the compiler may not use the processor's instruction, and that
// takes longer for the few bits that are set. A match calls this twice for each entry of the book.
int popcount(std::uint32_t bits) {
  int count = 0;
  for (; bits != 0; bits &= bits - 1) ++count;
  return count;
}

// The same program gives a server's name or not, by the way in which it is called. That changes the
// first part of the fingerprint: a flag and a count of extensions. The two digests show the
// library.
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

// As way_holds(), but one of `wanted` and `seen` may be less exact than the other.
bool dot_holds(DotWay wanted, DotWay seen, int& weight) {
  const bool seen_apart = seen != DotWay::Any && seen != DotWay::Joined;
  switch (wanted) {
    case DotWay::Alone3:  // a pause comes before it, so it is seen on any path
      weight += kWayHolds;
      return seen == DotWay::Apart3 || seen == DotWay::Apart;
    case DotWay::Apart:  // nothing else tells it from programs of one write: it must be seen
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

// How well an entry fits, and whether something that was seen speaks for it. An entry that nothing
// contradicts, but for which nothing speaks, gives no name; it can prevent the name of another
// entry with the same weight.
struct Fit {
  int weight = 0;       // 0: it does not fit
  bool told = false;    // something speaks for this entry alone
  bool spoken = false;  // or for this one and others that differ only in what was not seen
};

bool any_hello(const Gait& gait, const Traits& traits) {
  return std::any_of(gait.hellos.begin(), gait.hellos.end(),
                     [&](const auto& print) { return same_library(print, traits.hello); });
}

// A message longer than two of the largest usual buffers shows no end of a write. Or it is longer
// than one usual buffer, and the terminator came with the rest. Then a single write was really
// seen, and is not only possible.
constexpr std::uint32_t kShowsOneWrite = 2 * 8192;
constexpr std::uint32_t kShowsJoinedWrite = 4096;
constexpr std::uint32_t kShowsThroughRepair = 65536;

// Does a relay end its first write here, whatever program it relays? 1024 (microsocks), 2048
// (tinyproxy), 8192 (socat, redir, simpleproxy, ncat) and 16384 (rinetd) were recorded.
bool ends_as_relays_do(std::uint32_t offset) {
  return offset == 1024 || offset == 2048 || (offset != 0 && offset % 8192 == 0);
}

// The words that few of the programs that greet with EHLO say. Many say SIZE.
constexpr std::uint32_t kWordsOfFew = (kHabits | kExtensions) & ~(kSizes | bit_of("size"));

// The places where a writer of lines may end its first write, whatever it writes after it.
constexpr std::uint16_t kAnyLineWriter = kFirstLine | kFirstField | kFirstHeaderLine;

// Do the writes speak for the entry? Either the first write ends where the entry says, and
// something that makes this end rare was seen as well. Or the entry says that the message is one
// write, and that was seen.
bool writes_speak(const Gait& gait, const Traits& traits, std::uint32_t required) {
  const bool seen_apart = traits.dot != DotWay::Any && traits.dot != DotWay::Joined;
  const bool apart = gait.dot != DotWay::Any && gait.dot != DotWay::Joined && seen_apart;
  // Few programs send DATA in one write with the commands before it.
  const bool ahead = (required & kDataAhead) != 0;
  const bool body = gait.body != BodyWay::Any && traits.body == gait.body;
  if (traits.offset == 0) {
    // A block that does not show says nothing. A terminator after such a block says nothing either.
    if ((gait.first & kFirstNone) == 0) return false;
    if (apart || (required & kHabits) != 0) return true;
    // After the first flight a terminator with its own write does not show. So an entry with such a
    // terminator also needs words that few programs say: MAIL and RCPT in one write.
    const bool dot =
        gait.dot == DotWay::Joined || gait.dot == DotWay::Any || (required & kRcptAhead) != 0;
    if (traits.every || !dot) return false;
    if (!traits.clean) return traits.size > kShowsThroughRepair;
    return traits.size > (traits.dot == DotWay::Joined ? kShowsJoinedWrite : kShowsOneWrite);
  }
  // Under TLS only sizes show a place. As long as other places are possible, the rest of the writes
  // has to speak for the entry.
  const bool guessed =
      traits.every && (traits.first & ~gait.first) != 0 && (traits.first & gait.first) != 0;
  if (guessed) return body || apart;
  // A relay with this buffer may stand before any program. Under TLS no relay changes the records,
  // but a script may write in blocks of the same size.
  const bool by_block = (gait.first & traits.first) == 0 && gait.line_blocks[0] == 0;
  if (by_block && gait.ehlo &&
      (ends_as_relays_do(traits.offset) || ends_as_relays_do(gait.blocks[0]))) {
    if ((required & kWordsOfFew) == 0) return false;
  }
  // Every writer of lines makes this cut. So what the entry says of the other writes has to be seen
  // too.
  const bool common = (gait.first & traits.first & kAnyLineWriter) != 0;
  const bool more = gait.body != BodyWay::Any || gait.dot != DotWay::Any;
  // A relay that reads the first line alone and the other lines together makes the same writes.
  if (common && gait.body == BodyWay::Bulk && !traits.every) return body && seen_apart;
  return !common || !more || body || ahead || apart;
}

Fit fit(const Gait& gait, const Traits& traits) {
  if (!greeting_fits(gait, traits)) return {};
  const std::uint32_t ignored = (traits.no_offer ? kExtensions : 0) | traits.untold;
  const std::uint32_t required = gait.required & ~ignored;
  if ((traits.talk & required) != required) return {};
  if ((traits.talk & gait.forbidden & ~ignored) != 0) return {};
  // Content and circumstances earn nothing, because they can come with any program: the text of
  // many messages begins with a foreign Received.
  int weight = kTalkHolds + kWordHolds * popcount(required & (kHabits | kExtensions));
  // Words said under TLS cannot be checked. They earn nothing and cost one point each. So of two
  // entries, the one that depends less on such words wins.
  weight -= popcount(gait.required & traits.untold);
  const bool unheard = (gait.required & traits.untold) != 0;
  // A dialogue is not enough where half of it was said under TLS.
  const bool enough = gait.talk_is_enough && !unheard;
  const bool hello = any_hello(gait, traits);
  if (hello) weight += kHelloHolds;
  // Where only words that could not be seen tell a program from many others, its hello has to
  // decide.
  const bool heard = hello || !unheard;
  if (traits.first == 0) return enough ? Fit{weight, heard, true} : Fit{};
  if (first_fits(gait, traits)) {
    // A block that does not show is no objection and no support.
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

// Do both entries fit, although what tells them apart was not seen? Whatever else speaks for one of
// them does not matter here. Either one writes the body in bulk and the other by lines. Or one asks
// for a word that the other refuses, and that word could not be seen. In the second case the hello
// decides if only one of them has it.
bool told_apart_unseen(const Gait& a, const Gait& b, const Traits& traits) {
  const bool bodies = a.body != b.body && a.body != BodyWay::Any && b.body != BodyWay::Any;
  if (bodies && traits.body == BodyWay::Any) return true;
  const std::uint32_t opposed = (a.required & b.forbidden) | (b.required & a.forbidden);
  return (opposed & traits.untold) != 0 && any_hello(a, traits) == any_hello(b, traits);
}

// Does the entry depend on whether the text begins with a Received, although the text was not seen?
// Then its hello has to decide. A hello that another entry has too belongs to a library and does
// not show the program.
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

// Could something between the program and this host have cut its writes again? That may be a path
// with another usual segment size, a relay with a buffer of 1024 times a power of two, or the edge
// of a receiver's window, which most systems keep at a multiple of 1024. An end at such a size
// rules out no program.
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
  // On a path with smaller segments than usual, the path may have moved and cut the program's
  // writes again.
  constexpr std::uint32_t kOrdinaryFull = 1200;
  return traits.clean && traits.full >= kOrdinaryFull && traits.first != 0 &&
         !first_fits(*gait, traits) && !cut_by_others(*gait, traits);
}

}  // namespace classifier
