// Entries, their text, and the match. What decides an entry's place is how much of it was seen to
// hold: an entry that says more wins over one that says less, and two that hold alike are no
// answer. "unknown" is better than a guess among twins; twins that are known to be twins share one
// entry. Pure functions; any thread.
#include "classifier/gait.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "classifier/gait_files.h"
#include "classifier/stream.h"
#include "text/lines.h"

namespace classifier {
namespace {

using text::kBlanks;
using text::take_line;
using text::trimmed;

// How a word of the dialogue counts where an entry does not name it.
enum class Absent : std::uint8_t {
  Forbidden,  // a habit of the program: it must not be there, and if it is the program is another
  Unnamed,    // an extension: it must not be there; but the server may not have offered it
  Free,       // content or circumstances: it may be there
};

struct Word {
  std::string_view word;
  bool Dialogue::*member;  // null: made from more than one thing
  Absent absent;
  enum class Said : std::uint8_t { Clear, Mail, Milter };
  // Under TLS: still known (from the session in clear, or by turns), known from MAIL's bytes only,
  // or also from what a milter is shown.
  Said said = Said::Clear;
};

// The trace notation's words, then those that are made here.
constexpr Word kWords[] = {
    {"lower", &Dialogue::lower_case, Absent::Forbidden},
    {"mixed-case", &Dialogue::mixed_case, Absent::Forbidden, Word::Said::Mail},
    {"soft-path", &Dialogue::soft_path, Absent::Forbidden, Word::Said::Mail},
    {"colon-space", &Dialogue::space_after_colon, Absent::Forbidden, Word::Said::Mail},
    {"trailing-space", &Dialogue::trailing_space, Absent::Forbidden, Word::Said::Mail},
    {"bare-lf", &Dialogue::bare_lf, Absent::Forbidden},
    {"split", &Dialogue::split_command, Absent::Forbidden},
    {"8bit", &Dialogue::eight_bit, Absent::Unnamed, Word::Said::Milter},
    {"7bit", &Dialogue::seven_bit, Absent::Unnamed, Word::Said::Milter},
    {"body-first", &Dialogue::body_first, Absent::Unnamed, Word::Said::Milter},
    {"dsn", &Dialogue::dsn, Absent::Unnamed, Word::Said::Milter},
    {"rcpt-ahead", &Dialogue::rcpt_ahead, Absent::Unnamed},
    {"data-ahead", &Dialogue::data_ahead, Absent::Unnamed},
    {"size", nullptr, Absent::Unnamed, Word::Said::Milter},
    {"size-near", nullptr, Absent::Unnamed, Word::Said::Milter},
    {"size-over", nullptr, Absent::Unnamed, Word::Said::Milter},
    {"size-under", nullptr, Absent::Unnamed, Word::Said::Milter},
    {"received", nullptr, Absent::Free, Word::Said::Milter},
    {"blank-end", &Dialogue::blank_end, Absent::Free, Word::Said::Milter},
    {"literal", &Dialogue::literal, Absent::Free},
    {"dotless", &Dialogue::dotless, Absent::Free},
    {"auth", &Dialogue::auth, Absent::Free},
    {"rset", &Dialogue::rset, Absent::Free},
    {"early", &Dialogue::early_talker, Absent::Free},
    {"early-data", &Dialogue::early_data, Absent::Free},
    {"quit-with-dot", &Dialogue::quit_with_dot, Absent::Free},
};
constexpr std::size_t kWordCount = std::size(kWords);

constexpr std::uint32_t bit_of(std::string_view word) {
  for (std::size_t i = 0; i < kWordCount; ++i) {
    if (kWords[i].word == word) return 1U << i;
  }
  return 0;
}
constexpr std::uint32_t all_of(Absent absent) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kWordCount; ++i) {
    if (kWords[i].absent == absent) bits |= 1U << i;
  }
  return bits;
}
constexpr std::uint32_t said_by(Word::Said said) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kWordCount; ++i) {
    if (kWords[i].said == said) bits |= 1U << i;
  }
  return bits;
}
constexpr std::uint32_t kSaidByMail = said_by(Word::Said::Mail);
constexpr std::uint32_t kSaidToMilter = said_by(Word::Said::Milter);
constexpr std::uint32_t kReceived = bit_of("received");
constexpr std::uint32_t kBlankEnd = bit_of("blank-end");
constexpr std::uint32_t kHabits = all_of(Absent::Forbidden);
constexpr std::uint32_t kExtensions = all_of(Absent::Unnamed);
// What the commands of a transaction say, and who spoke first: unknown where packets are missing.
constexpr std::uint32_t kUnheard =
    kSaidByMail | kExtensions | bit_of("early") | bit_of("early-data");
constexpr std::uint32_t kSizes = bit_of("size-near") | bit_of("size-over") | bit_of("size-under");
static_assert(kReceived != 0 && kSizes != 0 && kWordCount <= 32);

constexpr std::array<std::string_view, 6> kClasses = {"official-mta", "relay",  "library",
                                                      "agent",        "script", "bot"};
constexpr std::array<std::string_view, 4> kBases = {"recorded", "slides", "source", "assumed"};
constexpr std::array<std::string_view, 3> kBodies = {"any", "bulk", "lines"};
constexpr std::array<std::string_view, 6> kDots = {"any", "joined", "3", "5", "3-alone", "apart"};
constexpr std::array<std::string_view, 3> kHeld = {"any", "yes", "no"};
constexpr std::array<std::string_view, 11> kFirsts = {
    "none",   "line", "line-bare", "field", "header-line", "header-bare",
    "header", "edge", "inside",    "body",  "grid"};

template <typename Enum, std::size_t N>
std::optional<Enum> named(const std::array<std::string_view, N>& names, std::string_view text) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

// --- what was seen
// --------------------------------------------------------------------------------

// SIZE counts the message; Postfix counts what it sends, Exim adds 1024 to be safe (smtp transport,
// size_addition), Sendmail and curl count lines that end with LF alone.
constexpr std::uint64_t kSizeSlack = 64;  // dots that were doubled are not counted

std::uint32_t size_bit(const Trace& trace) {
  const std::uint64_t declared = trace.dialogue.declared;
  if (declared == 0 || trace.size == 0) return 0;
  // Where records are rounded up to whole blocks, the milter has counted what is in them.
  const std::uint64_t size =
      trace.hello.slack != 0 ? trace.size - std::min(trace.size, trace.miss) : trace.size;
  if (declared + kSizeSlack < size) return bit_of("size") | bit_of("size-under");
  return bit_of("size") |
         (declared > size + kSizeSlack ? bit_of("size-over") : bit_of("size-near"));
}

std::uint32_t talk_bits(const Trace& trace) {
  std::uint32_t bits = size_bit(trace);
  for (std::size_t i = 0; i < kWordCount; ++i) {
    if (kWords[i].member != nullptr && trace.dialogue.*kWords[i].member) bits |= 1U << i;
  }
  const auto& fields = trace.landmarks.fields;
  if (!fields.empty() && fields.front().received) bits |= kReceived;
  return bits;
}

std::uint16_t places_of(std::uint32_t offset, bool line_end, const Landmarks& marks) {
  std::uint16_t bits = 0;
  const std::uint32_t line = marks.first_line_end;
  if (line != 0 && offset == line) bits |= kFirstLine;
  if (line > 2 && (offset == line - 2 || offset == line - 1)) bits |= kFirstLineBare;
  if (!marks.fields.empty() && offset == marks.fields.front().end) bits |= kFirstField;
  if (marks.header_end != 0 && offset == marks.header_end) bits |= kFirstHeaderBare;
  if (marks.body_begin != 0 && offset == marks.body_begin) bits |= kFirstHeader;
  if (bits != 0) return bits;
  const std::uint32_t header = std::max(marks.header_end, marks.body_begin);
  if (offset >= header) return kFirstBody;
  if (line_end) return kFirstHeaderLine;
  if (ends_buffer(offset)) return kFirstGrid;
  const bool edge = std::any_of(marks.fields.begin(), marks.fields.end(), [&](const auto& field) {
    return field.end > 3 && (offset == field.end - 2 || offset == field.end - 3);
  });
  return edge ? kFirstEdge : kFirstInside;
}

// From this round trip on, a line writer's later lines hide behind Nagle and PSH tells of its body;
// from the next one on, it also tells whether something was held.
constexpr std::uint32_t kRoundTripUs = 1000;
constexpr std::uint32_t kLongRoundTripUs = 5000;
constexpr double kBulkShare = 0.30;
constexpr std::uint32_t kFewFulls = 3;
constexpr double kSlowLinkSlack = 1.25;  // headers take their time, too
constexpr double kSpoiled = 0.10;        // share of repaired segments that makes PSH worth nothing

BodyWay body_of(const Trace& trace, const Writes& writes, const Features& features) {
  if (features.repaired_share() > kSpoiled || trace.via == Via::Read) return BodyWay::Any;
  if (trace.path.rtt_us >= kRoundTripUs) {
    if (!writes.segment.pushes || writes.segment.fulls < kFewFulls) return BodyWay::Any;
    // Among three, one PSH may be the flight's last.
    if (writes.segment.fulls == kFewFulls && features.push_share > 0) return BodyWay::Any;
    return features.push_share >= kBulkShare ? BodyWay::Bulk : BodyWay::Lines;
  }
  std::uint32_t lines = 0;
  std::uint32_t others = 0;
  for (const Cut& cut : features.cuts) {
    if (cut.offset <= trace.landmarks.body_begin || !tells_writer(cut.place)) continue;
    ++(cut.place == Place::BodyLine ? lines : others);
  }
  if (lines >= 2 && lines > others) return BodyWay::Lines;
  return lines + others == 0 && writes.segment.fulls >= kFewFulls ? BodyWay::Bulk : BodyWay::Any;
}

// Is the last segment all that was written behind the last full one? In a message of one flight a
// terminator of its own write would have waited for the text's short end to be acknowledged, and
// would stand apart; it comes in one segment with it only where that segment was held.
bool one_flight(const Trace& trace, const Writes& writes) {
  constexpr std::size_t kInitialWindow = 10;  // RFC 6928
  const std::size_t count = trace.segments.size();
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt == 0 || count < 2 || count > kInitialWindow) return false;
  // Here the acknowledgement is back at once, and what waited for it leaves alone.
  const bool near = rtt < kRoundTripUs;
  if (!near && rtt < kLongRoundTripUs) return false;
  const auto all_within = [&](std::uint32_t gap) {
    return std::all_of(trace.segments.begin() + 1, trace.segments.end(),
                       [&](const Segment& segment) { return segment.gap_us < gap; });
  };
  // But not always: a receiver may delay it (Linux: 40 ms), and then lines gather behind it.
  const std::uint32_t pause = near ? kRoundTripUs : rtt / 4;
  if (all_within(pause)) return true;
  if (near || count < 3 || !writes.boundaries.empty()) return false;
  // The path delayed some, but nothing waited for an acknowledgement.
  const Segment& last = trace.segments.back();
  if (last.gap_us < pause) return all_within(rtt - pause);
  // On a slow link each segment takes the time of its size.
  const Segment& before = trace.segments[count - 2];
  const double scaled = static_cast<double>(before.gap_us) * last.size / before.size;
  return last.size < before.size && last.gap_us >= scaled / 2 &&
         last.gap_us <= scaled * kSlowLinkSlack;
}

DotWay dot_of(const Trace& trace, const Writes& writes, const Features& features) {
  if (trace.landmarks.terminator == 0) return DotWay::Any;
  const auto& cuts = features.cuts;
  const auto left = [&](std::size_t back) {
    return back <= cuts.size() && cuts[cuts.size() - back].place == Place::Terminator
               ? trace.size - std::min<std::uint64_t>(trace.size, cuts[cuts.size() - back].offset)
               : 0;
  };
  // Its line end and the dot came one by one: of 3 bytes behind an empty line, or of 5 in two.
  if (left(1) == 3 && left(2) == 5) return DotWay::Apart;
  if (left(1) != 0) return left(1) <= 3 ? DotWay::Apart3 : DotWay::Apart5;
  const bool clean =
      features.repaired == 0 && trace.state == State::Complete && trace.via != Via::Read;
  return clean && one_flight(trace, writes) ? DotWay::Joined : DotWay::Any;
}

// Did a short segment leave while an earlier short one was not yet acknowledged?
Held held_of(const Trace& trace, const Writes& writes, const Features& features) {
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt < kLongRoundTripUs || features.repaired != 0 || trace.via == Via::Read) return Held::Any;
  if (writes.boundaries.empty()) return Held::Any;
  const std::size_t first = writes.boundaries.front().segment;
  const std::size_t next =
      writes.boundaries.size() > 1 ? writes.boundaries[1].segment : trace.segments.size() - 1;
  std::uint64_t wait = 0;
  for (std::size_t i = first + 1; i <= next; ++i) {
    wait += trace.segments[i].gap_us;
    // On a slow link each segment waits for the one before it.
    if (i != next && trace.segments[i].gap_us > rtt / 8) return Held::Any;
  }
  if (wait < rtt / 2) return Held::No;
  return wait > rtt - rtt / 5 && wait < rtt * std::uint64_t{2} ? Held::Yes : Held::Any;
}

// A sealed message's first write, as far as its size tells of it.
std::uint16_t sealed_first(SealedShape shape) {
  switch (shape) {
    case SealedShape::OneWrite:
    case SealedShape::Segments:
      return kFirstNone;
    case SealedShape::Blocks:
    case SealedShape::LineBuffer:
      return kFirstBody;
    case SealedShape::Lines:
      return kFirstLine | kFirstField | kFirstHeaderLine;
    case SealedShape::HeadersApart:
      return kFirstHeader | kFirstEdge;
    case SealedShape::Template:
      return kFirstInside;
    case SealedShape::Unknown:
      break;
  }
  return 0;
}

void observe_sealed(const Trace& trace, const Writes& writes, const Features& features,
                    Steps& steps) {
  const bool read = trace.landmarks.header_end != 0;
  // The milter counted the body: its size fits, or is known to miss.
  const bool counted = trace.window == Window::Exact || trace.miss != 0;
  steps.untold = kSaidByMail | (read ? 0 : kReceived) | (counted ? 0 : kBlankEnd) |
                 (trace.window == Window::Inferred ? kSaidToMilter : 0);
  steps.talk &= ~steps.untold;
  steps.size = to_u32(trace.size);
  steps.every = true;
  steps.slack = trace.hello.slack;
  if (trace.hello.ja4.size() == kJa4Size) {
    std::copy_n(trace.hello.ja4.begin(), kJa4Size, steps.hello.begin());
  }
  steps.clean = trace.state == State::Complete && trace.hello.slack == 0;
  steps.first = sealed_first(features.shape);
  const bool cut = !features.cuts.empty() && tells_writer(features.cuts.front().place);
  if (cut) steps.offset = features.cuts.front().offset;
  // A place that is known about is none.
  const bool placed = read && trace.window != Window::Near;
  if (cut && placed && features.shape != SealedShape::LineBuffer) {
    steps.first =
        places_of(steps.offset, features.cuts.front().place == Place::HeaderLine, trace.landmarks);
  }
  steps.line_end = features.shape == SealedShape::LineBuffer;
  if (features.shape == SealedShape::Lines) {
    constexpr std::uint32_t kLongestLine = 1000;  // RFC 5321, 4.5.3.1.6
    const bool bulk = std::any_of(writes.sizes.begin(), writes.sizes.end(),
                                  [](std::uint32_t size) { return size > kLongestLine; });
    steps.body = bulk ? BodyWay::Bulk : BodyWay::Lines;
  }
  // By BDAT chunks cut what the program writes, as in clear: only the dialogue tells.
  if (trace.transfer == Transfer::Bdat) {
    steps.first = 0;
    steps.offset = 0;
    return;
  }
  const bool apart = !features.cuts.empty() && features.cuts.back().place == Place::Terminator;
  // Of 3 bytes or of 5 is not told by blocks.
  const bool three = writes.sizes.back() <= 3;
  steps.dot = !apart             ? DotWay::Joined
              : steps.slack != 0 ? DotWay::Apart
              : three            ? DotWay::Apart3
                                 : DotWay::Apart5;
}

}  // namespace

Steps observe(const Trace& trace, const Writes& writes, const Features& features) {
  Steps steps;
  const Dialogue& talk = trace.dialogue;
  steps.talk = talk_bits(trace);
  steps.helo = talk.greeting == Dialogue::Greeting::Helo && !talk.fallback;
  steps.no_offer = talk.fallback || talk.greeting == Dialogue::Greeting::None;
  // Where the server, or commands, were not seen, only what was said speaks.
  if (trace.window == Window::OneSided) steps.untold = kUnheard & ~steps.talk;
  if (!trace.records.empty()) observe_sealed(trace, writes, features, steps);
  // With records the writes are theirs, and no segments: a trace of anybody's may have them in
  // clear.
  if (trace.tls || !trace.records.empty() || trace.transfer == Transfer::Bdat) return steps;

  steps.size = to_u32(trace.size);
  const SegmentSizes& sizes = writes.segment;
  const bool steady = sizes.other == 0 && sizes.announced == 0;
  steps.full = steady ? writes.full : 0;
  steps.clean =
      steady && features.repaired == 0 && trace.state == State::Complete && trace.via != Via::Read;
  const auto first = std::find_if(features.cuts.begin(), features.cuts.end(), [](const Cut& cut) {
    return tells_writer(cut.place) || cut.place == Place::Terminator;
  });
  if (first != features.cuts.end() && tells_writer(first->place) && !features.hidden_first) {
    const auto boundary =
        std::find_if(writes.boundaries.begin(), writes.boundaries.end(),
                     [&](const Boundary& candidate) { return candidate.offset == first->offset; });
    steps.offset = first->offset;
    steps.line_end =
        boundary != writes.boundaries.end() && trace.segments[boundary->segment].line_end;
    if (trace.window != Window::Near) {
      steps.first = places_of(first->offset, steps.line_end, trace.landmarks);
    }
  } else if (first == features.cuts.end() || !features.hidden_first) {
    // Nothing was cut: that says something once there was room for a cut.
    if (features.segments >= 3 && trace.state == State::Complete) steps.first = kFirstNone;
  }
  steps.body = body_of(trace, writes, features);
  steps.dot = dot_of(trace, writes, features);
  steps.held = held_of(trace, writes, features);
  return steps;
}

namespace {

// --- the match
// ------------------------------------------------------------------------------------

constexpr std::uint32_t kMostBlocks = 8;  // blocks of whole segments that hide in front of a cut

// Does a writer of `block` show its first cut here? It is the first multiple that is no whole
// number of segments. Exim's buffer ends a byte early or late where a line end crosses it.
bool first_of_blocks(std::uint32_t block, const Steps& steps) {
  const std::uint32_t slack = block % 2 == 1 ? 1 : 0;
  if (steps.slack != 0) {
    return steps.offset + slack >= block && steps.offset <= block + slack + steps.slack;
  }
  const std::uint32_t times = (steps.offset + slack) / block;
  if (times == 0 || times > (steps.every ? 1 : kMostBlocks)) return false;
  const std::uint32_t ideal = times * block;
  const std::uint32_t off = steps.offset > ideal ? steps.offset - ideal : ideal - steps.offset;
  if (off > slack * times) return false;
  for (std::uint32_t i = 1; i < times && steps.full != 0; ++i) {
    if (i * block % steps.full != 0) return false;
  }
  return true;
}

// Is a message without a cut what a writer of `block` sends? Either it fits into one, or every
// block is a whole number of segments.
bool hides_blocks(std::uint32_t block, const Steps& steps) {
  if (steps.size <= block) return true;
  return steps.full != 0 && block % steps.full == 0;
}

bool first_fits(const Gait& gait, const Steps& steps) {
  if ((gait.first & steps.first) != 0) return true;
  if (steps.offset == 0) {
    const auto hides = [&](std::uint32_t block) {
      return block != 0 && hides_blocks(block, steps);
    };
    return std::any_of(gait.line_blocks.begin(), gait.line_blocks.end(), hides) ||
           std::any_of(gait.blocks.begin(), gait.blocks.end(), hides);
  }
  constexpr std::uint32_t kLongestLine = 1000;  // RFC 5321, 4.5.3.1.6
  const auto lines = [&](std::uint32_t block) {
    return block != 0 && steps.offset <= block + steps.slack && steps.offset + kLongestLine > block;
  };
  if (steps.line_end && std::any_of(gait.line_blocks.begin(), gait.line_blocks.end(), lines)) {
    return true;
  }
  return std::any_of(gait.blocks.begin(), gait.blocks.end(), [&](std::uint32_t block) {
    return block != 0 && first_of_blocks(block, steps);
  });
}

bool greeting_fits(const Gait& gait, const Steps& steps) {
  return steps.no_offer ? gait.ehlo : (steps.helo ? gait.helo : gait.ehlo);
}

// How much of the entry was seen to hold; 0: it does not. The writes weigh most, since a dialogue
// is easily copied.
constexpr int kTalkHolds = 4;
constexpr int kWordHolds = 2;
constexpr int kFirstHolds = 6;
constexpr int kWayHolds = 2;
constexpr int kHelloHolds = 3;

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

bool any_hello(const Gait& gait, const Steps& steps) {
  return std::any_of(gait.hellos.begin(), gait.hellos.end(),
                     [&](const auto& print) { return same_library(print, steps.hello); });
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
bool writes_speak(const Gait& gait, const Steps& steps, std::uint32_t required) {
  const bool seen_apart = steps.dot != DotWay::Any && steps.dot != DotWay::Joined;
  const bool apart = gait.dot != DotWay::Any && gait.dot != DotWay::Joined && seen_apart;
  // DATA in the write of the commands before it is a write of few programs, too.
  const bool ahead = (required & bit_of("data-ahead")) != 0;
  const bool body = gait.body != BodyWay::Any && steps.body == gait.body;
  if (steps.offset == 0) {
    // A block that hides says nothing, and nor does a terminator behind it.
    if ((gait.first & kFirstNone) == 0) return false;
    if (apart || (required & kHabits) != 0) return true;
    // A terminator of its own hides behind the first flight. An entry that has one needs words that
    // few programs say: MAIL and RCPT in one write.
    const bool dot = gait.dot == DotWay::Joined || gait.dot == DotWay::Any ||
                     (required & bit_of("rcpt-ahead")) != 0;
    if (steps.every || !dot) return false;
    if (!steps.clean) return steps.size > kShowsThroughRepair;
    return steps.size > (steps.dot == DotWay::Joined ? kShowsJoinedWrite : kShowsOneWrite);
  }
  // Under TLS, where only sizes tell of a place: as long as other places are possible, the rest of
  // the writes has to speak.
  const bool guessed =
      steps.every && (steps.first & ~gait.first) != 0 && (steps.first & gait.first) != 0;
  if (guessed) return body || apart;
  // A relay's buffer may stand in front of anybody, and under TLS, where no relay changes the
  // records, a script may write in blocks of the same size.
  const bool by_block = (gait.first & steps.first) == 0 && gait.line_blocks[0] == 0;
  if (by_block && gait.ehlo &&
      (ends_as_relays_do(steps.offset) || ends_as_relays_do(gait.blocks[0]))) {
    if ((required & kWordsOfFew) == 0) return false;
  }
  // Every writer of lines makes this cut: what an entry says of the rest has to be seen as well.
  const bool common = (gait.first & steps.first & kAnyLineWriter) != 0;
  const bool more = gait.body != BodyWay::Any || gait.dot != DotWay::Any;
  // A relay that reads the first line alone and the others together writes them so, too.
  if (common && gait.body == BodyWay::Bulk && !steps.every) return body && seen_apart;
  return !common || !more || body || ahead || apart;
}

Fit fit(const Gait& gait, const Steps& steps) {
  if (!greeting_fits(gait, steps)) return {};
  const std::uint32_t ignored = (steps.no_offer ? kExtensions : 0) | steps.untold;
  const std::uint32_t required = gait.required & ~ignored;
  if ((steps.talk & required) != required) return {};
  if ((steps.talk & gait.forbidden & ~ignored) != 0) return {};
  // Content and circumstances may be anybody's: a foreign Received stands in the text of many.
  int weight = kTalkHolds + kWordHolds * popcount(required & (kHabits | kExtensions));
  // What was said where nobody could hear it speaks for no entry, and a little for the plainer one.
  weight -= popcount(gait.required & steps.untold);
  const bool unheard = (gait.required & steps.untold) != 0;
  // A dialogue of which half was said under TLS is not enough.
  const bool enough = gait.talk_is_enough && !unheard;
  const bool hello = any_hello(gait, steps);
  if (hello) weight += kHelloHolds;
  // Where only what nobody has heard tells a program from the many, its hello has to.
  const bool heard = hello || !unheard;
  if (steps.first == 0) return enough ? Fit{weight, heard, true} : Fit{};
  if (first_fits(gait, steps)) {
    // A block that hides is no objection, and no support.
    const bool hides = steps.offset == 0 && (gait.first & steps.first) == 0;
    if (!hides) weight += kFirstHolds;
  } else if (steps.clean || !enough) {
    return {};
  }
  if (!way_holds(gait.body, steps.body, weight)) return {};
  if (!dot_holds(gait.dot, steps.dot, weight)) return {};
  if (!way_holds(gait.held, steps.held, weight)) return {};
  const bool hidden = steps.offset == 0 && (gait.first & kFirstNone) == 0;
  const bool speaks = enough || (hello && !hidden) || writes_speak(gait, steps, required);
  const bool half = gait.talk_is_enough && (required & (kHabits | kExtensions)) != 0;
  return {weight, heard && speaks, speaks || half};
}

// Both fit, and what would tell one from the other was not seen, whatever else speaks for one of
// them: whether the body came in bulk or by lines; or a word that one asks for, the other refuses,
// and nobody heard, unless the hello of one tells.
bool told_apart_unseen(const Gait& a, const Gait& b, const Steps& steps) {
  const bool bodies = a.body != b.body && a.body != BodyWay::Any && b.body != BodyWay::Any;
  if (bodies && steps.body == BodyWay::Any) return true;
  const std::uint32_t opposed = (a.required & b.forbidden) | (b.required & a.forbidden);
  return (opposed & steps.untold) != 0 && any_hello(a, steps) == any_hello(b, steps);
}

// Where an entry rests on whether the text has a Received, which nobody heard, its hello has to
// tell; and one that another entry has too is a library's, and tells no program.
bool same_library_unheard(const Gait& best, const Gait& other, const Steps& steps) {
  const bool rests = ((best.required | best.forbidden) & kReceived & steps.untold) != 0;
  return rests && any_hello(best, steps) && any_hello(other, steps);
}

}  // namespace

Guess GaitBook::match(const Steps& steps) const {
  const Gait* best = nullptr;
  Fit most;
  std::size_t fitting = 0;
  bool twice = false;
  bool spoken = false;
  bool one_class = true;
  for (const Gait& gait : gaits_) {
    const Fit found = fit(gait, steps);
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
    if (same_library_unheard(*best, gait, steps)) return true;
    return told_apart_unseen(*best, gait, steps) && fit(gait, steps).weight != 0;
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
bool cut_by_others(const Gait& gait, const Steps& steps) {
  constexpr std::uint32_t kUsual[] = {kKilobyte, 1460, 1448, 1440, 1428, 1420, 1412,
                                      1400,      1380, 1368, 1360, 1347, 1220, 1208};
  const auto divides = [&](std::uint32_t size) { return steps.offset % size == 0; };
  if (std::any_of(std::begin(kUsual), std::end(kUsual), divides)) return true;
  return std::any_of(gait.blocks.begin(), gait.blocks.end(), [&](std::uint32_t block) {
    if (block == 0) return false;
    const std::uint32_t times = (steps.offset + block / 2) / block;
    const std::uint32_t ideal = times * block;
    const std::uint32_t off = steps.offset > ideal ? steps.offset - ideal : ideal - steps.offset;
    return times != 0 && off <= (block % 2) * times;
  });
}

}  // namespace

bool GaitBook::excludes(std::string_view name, const Steps& steps) const {
  const Gait* gait = find(name);
  if (gait == nullptr || steps.no_offer || steps.untold != 0) return false;
  if (gait->basis != Basis::Recorded) return false;
  if (!greeting_fits(*gait, steps)) return true;
  if ((steps.talk & gait->forbidden & kHabits) != 0) return true;
  // Below an ordinary segment size the path may have moved, and cut again what the program wrote.
  constexpr std::uint32_t kOrdinaryFull = 1200;
  return steps.clean && steps.full >= kOrdinaryFull && steps.first != 0 &&
         !first_fits(*gait, steps) && !cut_by_others(*gait, steps);
}

const Gait* GaitBook::find(std::string_view name) const {
  const auto found = std::find_if(gaits_.begin(), gaits_.end(),
                                  [&](const Gait& gait) { return gait.name == name; });
  return found == gaits_.end() ? nullptr : &*found;
}

void GaitBook::add(const GaitBook& other) {
  for (const Gait& gait : other.gaits_) {
    if (find(gait.name) == nullptr) gaits_.push_back(gait);
  }
}

const std::shared_ptr<const GaitBook>& GaitBook::builtin() {
  static const std::shared_ptr<const GaitBook> book = [] {
    auto made = std::make_shared<GaitBook>();
    for (const std::string_view text : kGaitFiles) {
      // A test parses each file; here a broken one costs its names and not the mail.
      (void)made->add(text);
    }
    return made;
  }();
  return book;
}

std::string_view name(GaitClass kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kClasses.size() ? kClasses[index] : std::string_view("?");
}

std::string_view name(Basis basis) {
  const auto index = static_cast<std::size_t>(basis);
  return index < kBases.size() ? kBases[index] : std::string_view("?");
}

bool names_programs(Basis basis) {
  return basis == Basis::Recorded || basis == Basis::Slides;
}

bool is_gait_name(std::string_view name) {
  constexpr std::size_t kLongest = 24;
  return !name.empty() && name.size() <= kLongest && name != "unknown" &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

namespace {

// --- the text
// -------------------------------------------------------------------------------------

std::string_view take(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

// Reads one file. What is said once is said in `reason`; the line is counted by add().
class Parser {
 public:
  std::vector<Gait> gaits;
  std::string reason;

  bool line(std::string_view text) {
    const std::string_view key = take(text);
    if (key.empty() || key.front() == '#') return true;
    if (key == "gait") {
      const std::string_view name = take(text);
      return begin(name, trimmed(text));
    }
    if (gaits.empty()) return fail("an entry begins with: gait NAME");
    return setting(key, trimmed(text));
  }

  bool finish() {
    if (gaits.empty()) return true;
    if (!has_first_ && !gaits.back().talk_is_enough) {
      return fail(fmt::format("{} has no \"first\"", gaits.back().name));
    }
    seal(gaits.back());
    return true;
  }

 private:
  bool fail(std::string why) {
    if (reason.empty()) reason = std::move(why);
    return false;
  }

  bool begin(std::string_view name, std::string_view rest) {
    if (!finish()) return false;
    if (!is_gait_name(name) || !rest.empty()) {
      return fail("a name is 1 to 24 of a-z, 0-9 and -, and not \"unknown\"");
    }
    const auto same = [&](const Gait& gait) { return gait.name == name; };
    if (std::any_of(gaits.begin(), gaits.end(), same)) return fail("a second entry of this name");
    if (gaits.size() == GaitBook::kMaxGaits) return fail("too many entries");
    gaits.emplace_back();
    gaits.back().name = name;
    has_first_ = false;
    allowed_ = 0;
    return true;
  }

  // What the entry does not name must not be there, but for what is free.
  void seal(Gait& gait) {
    if (((gait.required | allowed_) & kSizes) != 0) {
      allowed_ |= bit_of("size");
      gait.forbidden &= ~bit_of("size");
    }
    gait.forbidden |= (kHabits | kExtensions) & ~gait.required & ~allowed_;
  }

  template <typename Enum, std::size_t N>
  bool choice(const std::array<std::string_view, N>& names, std::string_view text, Enum& value) {
    const auto found = named<Enum>(names, text);
    if (!found) return fail(fmt::format("should be one of {}", fmt::join(names, ", ")));
    value = *found;
    return true;
  }

  bool hellos(std::string_view value, Gait& gait) {
    for (std::string_view hello = take(value); !hello.empty(); hello = take(value)) {
      if (hello.size() != kJa4Size) return fail("a JA4 print has 36 characters");
      if (gait.hellos.size() == Gait::kMaxHellos) return fail("too many prints");
      std::copy_n(hello.begin(), kJa4Size, gait.hellos.emplace_back().begin());
    }
    return true;
  }

  bool setting(std::string_view key, std::string_view value) {
    Gait& gait = gaits.back();
    if (value.empty()) return fail(fmt::format("{} needs a value", key.substr(0, 40)));
    if (key == "class") return choice(kClasses, value, gait.kind);
    if (key == "basis") return choice(kBases, value, gait.basis);
    if (key == "body") return choice(kBodies, value, gait.body);
    if (key == "dot") return choice(kDots, value, gait.dot);
    if (key == "held") return choice(kHeld, value, gait.held);
    if (key == "hello") return hellos(value, gait);
    if (key == "talk") return each(value, [&](std::string_view word) { return talk(gait, word); });
    if (key == "first") {
      has_first_ = true;
      return each(value, [&](std::string_view word) { return first(gait, word); });
    }
    if (key == "programs") {
      return each(value, [&](std::string_view word) {
        gait.programs.emplace_back(word);
        return true;
      });
    }
    if (key == "seen") {
      gait.seen += gait.seen.empty() ? "" : " ";
      gait.seen += value;
      return true;
    }
    if (key == "enough") {
      gait.talk_is_enough = value == "talk";
      return gait.talk_is_enough || fail("should be: enough talk");
    }
    return fail(fmt::format("unknown key {}", key.substr(0, 40)));
  }

  template <typename Take>
  bool each(std::string_view words, Take take_word) {
    while (!trimmed(words).empty()) {
      if (!take_word(take(words))) return false;
    }
    return true;
  }

  bool talk(Gait& gait, std::string_view word) {
    if (word == "helo" || word == "ehlo" || word == "helo|ehlo") {
      gait.helo = word != "ehlo";
      gait.ehlo = word != "helo";
      return true;
    }
    const char sign = word.empty() ? '\0' : word.front();
    const std::string_view bare = sign == '-' || sign == '?' ? word.substr(1) : word;
    const std::uint32_t bit = bit_of(bare);
    if (bit == 0) return fail(fmt::format("unknown word {} in talk", bare.substr(0, 40)));
    (sign == '-' ? gait.forbidden : sign == '?' ? allowed_ : gait.required) |= bit;
    return (gait.required & gait.forbidden) == 0 ||
           fail(fmt::format("{} is both asked for and refused", bare));
  }

  bool number(std::string_view text, std::uint32_t& value) {
    constexpr std::uint32_t kLeast = 256;
    constexpr std::uint32_t kMost = 1 << 20;
    std::uint32_t sum = 0;
    for (const char c : text) {
      if (c < '0' || c > '9' || sum > kMost) return fail("a block is a number of bytes");
      sum = sum * 10 + static_cast<std::uint32_t>(c - '0');
    }
    if (sum < kLeast || sum > kMost) return fail("a block is of 256 to 1048576 bytes");
    value = sum;
    return true;
  }

  bool first(Gait& gait, std::string_view word) {
    constexpr std::string_view kBlock = "block-";
    constexpr std::string_view kLines = "lines-";
    const bool lines = word.starts_with(kLines);
    if (lines || word.starts_with(kBlock)) {
      auto& blocks = lines ? gait.line_blocks : gait.blocks;
      const auto unused = std::find(blocks.begin(), blocks.end(), 0U);
      if (unused == blocks.end()) return fail("at most four blocks of a kind");
      return number(word.substr(kBlock.size()), *unused);
    }
    const auto found = named<unsigned>(kFirsts, word);
    if (!found) {
      return fail(fmt::format("should be of {}, block-N, lines-N", fmt::join(kFirsts, ", ")));
    }
    gait.first = static_cast<std::uint16_t>(gait.first | 1U << *found);
    return true;
  }

  bool has_first_ = false;
  std::uint32_t allowed_ = 0;
};

}  // namespace

std::optional<GaitError> GaitBook::add(std::string_view text) {
  if (text.size() > kMaxText) return GaitError{1, "the file is too large"};
  Parser parser;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    if (!parser.line(take_line(text))) return GaitError{number, parser.reason};
  }
  if (!parser.finish()) return GaitError{number, parser.reason};
  for (const Gait& gait : parser.gaits) {
    if (find(gait.name) != nullptr) {
      return GaitError{number, fmt::format("{} is in the book already", gait.name)};
    }
  }
  if (gaits_.size() + parser.gaits.size() > kMaxGaits) return GaitError{number, "too many entries"};
  gaits_.insert(gaits_.end(), parser.gaits.begin(), parser.gaits.end());
  return std::nullopt;
}

std::string print(const Gait& gait) {
  std::string text = fmt::format("gait {}\n  class {}\n", gait.name, name(gait.kind));
  if (!gait.programs.empty()) text += fmt::format("  programs {}\n", fmt::join(gait.programs, " "));
  text += fmt::format("  basis {}\n", name(gait.basis));
  if (!gait.seen.empty()) text += fmt::format("  seen {}\n", gait.seen);
  text += gait.ehlo && gait.helo ? "  talk helo|ehlo" : gait.helo ? "  talk helo" : "  talk ehlo";
  for (std::size_t i = 0; i < kWordCount; ++i) {
    const std::uint32_t bit = 1U << i;
    const bool free = kWords[i].absent == Absent::Free;
    const bool allowed = (gait.forbidden & bit) == 0;
    if ((gait.required & bit) != 0) {
      text += fmt::format(" {}", kWords[i].word);
    } else if (free != allowed) {
      text += fmt::format(" {}{}", free ? '-' : '?', kWords[i].word);
    }
  }
  text += '\n';
  if (gait.talk_is_enough) text += "  enough talk\n";
  std::string first;
  for (std::size_t i = 0; i < kFirsts.size(); ++i) {
    if ((gait.first & 1U << i) != 0) first += fmt::format(" {}", kFirsts[i]);
  }
  for (const std::uint32_t block : gait.blocks) {
    if (block != 0) first += fmt::format(" block-{}", block);
  }
  for (const std::uint32_t block : gait.line_blocks) {
    if (block != 0) first += fmt::format(" lines-{}", block);
  }
  if (!first.empty()) text += fmt::format("  first{}\n", first);
  const auto way = [&](std::string_view key, std::string_view value) {
    if (value != "any") text += fmt::format("  {} {}\n", key, value);
  };
  way("body", kBodies[static_cast<std::size_t>(gait.body)]);
  way("dot", kDots[static_cast<std::size_t>(gait.dot)]);
  way("held", kHeld[static_cast<std::size_t>(gait.held)]);
  for (const auto& hello : gait.hellos) {
    text += fmt::format("  hello {}\n", std::string_view(hello.data(), hello.size()));
  }
  return text;
}

namespace {

// What all agree on; Any where they do not. Those who could not tell have no vote.
template <typename Way, typename Get>
Way common(const std::vector<Steps>& messages, Get get) {
  Way all = Way::Any;
  for (const Steps& steps : messages) {
    const Way one = get(steps);
    if (one == Way::Any) continue;
    if (all != Way::Any && all != one) return Way::Any;
    all = one;
  }
  return all;
}

// The buffer that explains every first cut; 0: none does. The largest of the usual ones, since a
// writer of 4096 ends on multiples of 1024 too.
std::uint32_t common_block(const std::vector<const Steps*>& cut) {
  for (const std::uint32_t block : {65536U, 32768U, 16384U, 8192U, 8189U, 4096U, 2048U, 1024U}) {
    const auto fits = [&](const Steps* steps) { return first_of_blocks(block, *steps); };
    if (!cut.empty() && std::all_of(cut.begin(), cut.end(), fits)) return block;
  }
  return 0;
}

}  // namespace

std::string learn(std::string_view name, const std::vector<Steps>& messages) {
  std::vector<const Steps*> told;
  for (const Steps& steps : messages) {
    if (steps.first != 0) told.push_back(&steps);
  }
  if (told.empty() || !is_gait_name(name)) return {};
  Gait gait;
  gait.name = name;
  gait.programs.emplace_back(name);
  gait.seen = fmt::format("learned from {} messages, {} of them cut into three segments or more",
                          messages.size(), told.size());
  gait.ehlo = gait.helo = false;
  std::uint32_t always = ~0U;
  std::uint32_t ever = 0;
  for (const Steps& steps : messages) {
    (steps.helo ? gait.helo : gait.ehlo) = true;
    if (steps.no_offer) continue;
    always &= steps.talk;
    ever |= steps.talk;
  }
  // What content or circumstances bring is no habit, however often it was seen.
  constexpr std::uint32_t kTelling = kHabits | kExtensions;
  gait.required = ever == 0 ? 0 : always & kTelling;
  gait.forbidden = kTelling & ~ever;

  std::uint16_t shared = 0xffff;
  std::vector<const Steps*> cut;
  for (const Steps* steps : told) {
    if (steps->offset == 0) {
      gait.first |= kFirstNone;
    } else {
      cut.push_back(steps);
      shared &= steps->first;
    }
  }
  const std::uint32_t block = common_block(cut);
  if (block != 0) {
    gait.blocks[0] = block;
  } else if (!cut.empty() && shared != 0) {
    gait.first |= shared;
  } else {
    for (const Steps* steps : cut) gait.first |= steps->first;
  }
  gait.body = common<BodyWay>(messages, [](const Steps& steps) { return steps.body; });
  gait.dot = common<DotWay>(messages, [](const Steps& steps) { return steps.dot; });
  gait.held = common<Held>(messages, [](const Steps& steps) { return steps.held; });
  for (const Steps& steps : messages) {
    const bool known =
        std::find(gait.hellos.begin(), gait.hellos.end(), steps.hello) != gait.hellos.end();
    if (steps.hello.front() != 0 && !known && gait.hellos.size() < Gait::kMaxHellos) {
      gait.hellos.push_back(steps.hello);
    }
  }
  return print(gait);
}

}  // namespace classifier
