#include "classifier/traits.h"

#include <algorithm>

#include "classifier/dialogue_words.h"
#include "classifier/stream.h"

namespace classifier {
namespace {

using Word = DialogueWord;

constexpr std::uint32_t kSaidByMail = all_words(&Word::under_tls, Word::UnderTls::Hidden);
constexpr std::uint32_t kSaidToMilter = all_words(&Word::under_tls, Word::UnderTls::Shown);
constexpr std::uint32_t kReceived = bit_of("received");
constexpr std::uint32_t kBlankEnd = bit_of("blank-end");
// The words that the commands of a transaction show, and those that show who spoke first. They are
// unknown where packets are missing.
constexpr std::uint32_t kUnheard =
    kSaidByMail | kExtensions | bit_of("early") | bit_of("early-data");
static_assert(kReceived != 0 && kBlankEnd != 0);

// SIZE is what the program takes for the size of the message. Postfix counts the bytes that it
// sends. Exim adds 1024 to be safe (smtp transport, size_addition). Sendmail and curl count lines
// that end with LF alone.
constexpr std::uint64_t kSizeSlack = 64;  // doubled dots are not counted

std::uint32_t size_bit(const Trace& trace) {
  const std::uint64_t declared = trace.dialogue.declared;
  if (declared == 0 || trace.size == 0) return 0;
  // In records that are padded to whole blocks the size is known from the milter's count.
  const std::uint64_t size =
      trace.hello.slack != 0 ? trace.size - std::min(trace.size, trace.miss) : trace.size;
  constexpr std::uint32_t kUnder = bit_of("size") | bit_of("size-under");
  constexpr std::uint32_t kOver = bit_of("size") | bit_of("size-over");
  constexpr std::uint32_t kNear = bit_of("size") | bit_of("size-near");
  if (declared + kSizeSlack < size) return kUnder;
  return declared > size + kSizeSlack ? kOver : kNear;
}

std::uint32_t talk_bits(const Trace& trace) {
  std::uint32_t bits = size_bit(trace);
  for (std::size_t i = 0; i < kDialogueWords.size(); ++i) {
    const auto member = kDialogueWords[i].member;
    if (member != nullptr && trace.dialogue.*member) bits |= 1U << i;
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

// From this round trip on Nagle's algorithm hides a line writer's later lines, and PSH shows how
// the body was written. From the longer one on, PSH also shows whether a segment was held back.
constexpr std::uint32_t kRoundTripUs = 1000;
constexpr std::uint32_t kLongRoundTripUs = 5000;
constexpr double kBulkShare = 0.30;
constexpr std::uint32_t kFewFulls = 3;
constexpr double kSlowLinkSlack = 1.25;  // the headers of a segment take time as well
constexpr double kSpoiled = 0.10;        // with more repaired segments PSH shows nothing

BodyWay body_of(const Trace& trace, const Writes& writes, const Features& features) {
  if (features.repaired_share() > kSpoiled || trace.via == Via::Read) return BodyWay::Any;
  if (const PushedEnds& ends = features.pushed; ends.fulls != 0) {
    // A full segment that no line ends in is rare: lines are shorter.
    if (ends.fulls < kFewFulls) return BodyWay::Any;
    return ends.pushed == 0 ? BodyWay::Bulk
                            : (ends.pushed == ends.fulls ? BodyWay::Lines : BodyWay::Any);
  }
  if (trace.path.rtt_us >= kRoundTripUs) {
    if (!writes.segment.pushes || writes.segment.fulls < kFewFulls) return BodyWay::Any;
    // With only three full segments, a single PSH may be that of the flight's end.
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

// Was everything after the last full segment written at once, so that the terminator is in it? In a
// message of one flight, a terminator with its own write waits until the short end of the text is
// acknowledged. It then has a segment of its own. It shares the segment with the text only where
// that segment was held back.
bool one_flight(const Trace& trace, const Writes& writes) {
  constexpr std::size_t kInitialWindow = 10;  // RFC 6928
  const std::size_t count = trace.segments.size();
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt == 0 || count < 2 || count > kInitialWindow) return false;
  // On such a path the acknowledgement is back at once, and a write that waited for it leaves
  // alone.
  const bool near = rtt < kRoundTripUs;
  if (!near && rtt < kLongRoundTripUs) return false;
  const auto all_within = [&](std::uint32_t gap) {
    return std::all_of(trace.segments.begin() + 1, trace.segments.end(),
                       [&](const Segment& segment) { return segment.gap_us < gap; });
  };
  // A receiver may delay the acknowledgement (Linux: 40 ms). Then lines collect until it comes.
  // A quarter of a round trip is too short for an acknowledgement, and longer than the gaps within
  // a flight on an ordinary link. No figure of the recordings changes for 0.1 to 0.5.
  const std::uint32_t pause = near ? kRoundTripUs : rtt / 4;
  if (all_within(pause)) return true;
  if (near || count < 3 || !writes.boundaries.empty()) return false;
  // The path delayed some segments, but no write waited for an acknowledgement.
  const Segment& last = trace.segments.back();
  if (last.gap_us < pause) return all_within(rtt - pause);
  // On a slow link each segment takes the time that its size needs.
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
  // The line end and the dot came in two writes. Either an empty line stands before a dot line of 3
  // bytes, or a terminator of 5 bytes was cut in two.
  if (left(1) == 3 && left(2) == 5) return DotWay::Apart;
  if (left(1) != 0) return left(1) <= 3 ? DotWay::Apart3 : DotWay::Apart5;
  const bool clean =
      features.repaired == 0 && trace.state == State::Complete && trace.via != Via::Read;
  return clean && one_flight(trace, writes) ? DotWay::Joined : DotWay::Any;
}

// Did a short segment leave while an earlier short one was not yet acknowledged? With TCP_NODELAY
// it follows at once. With Nagle's algorithm it waits for the acknowledgement, which takes one
// round trip.
//
//     wait in round trips   0         1/2       4/5              2
//                           ├── No ────┤  Any   ├───── Yes ─────┤  Any
//
// The limits were chosen. No entry of the compiled-in book has `held`, so no figure depends on
// them. `rtt` is the smallest round trip that was measured, so a real one is longer: hence up to
// twice of it, and a fifth below for coarse clocks. Closer limits make more messages Any. Wider
// ones take a pause of the program, or a slow link, for Nagle's algorithm.
NagleSeen nagle_of(const Trace& trace, const Writes& writes, const Features& features) {
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt < kLongRoundTripUs || features.repaired != 0 || trace.via == Via::Read)
    return NagleSeen::Any;
  if (writes.boundaries.empty()) return NagleSeen::Any;
  const std::size_t first = writes.boundaries.front().segment;
  const std::size_t next =
      writes.boundaries.size() > 1 ? writes.boundaries[1].segment : trace.segments.size() - 1;
  std::uint64_t wait = 0;
  for (std::size_t i = first + 1; i <= next; ++i) {
    wait += trace.segments[i].gap_us;
    // From an eighth of a round trip on, a gap between two full segments is made by a slow link.
    // With a larger share, the time that the link needs would count as waiting.
    if (i != next && trace.segments[i].gap_us > rtt / 8) return NagleSeen::Any;
  }
  if (wait < rtt / 2) return NagleSeen::No;
  return wait > rtt - rtt / 5 && wait < rtt * std::uint64_t{2} ? NagleSeen::Yes : NagleSeen::Any;
}

// Where the first write of a message under TLS ended, as far as its size shows it.
std::uint16_t tls_first(TlsShape shape) {
  switch (shape) {
    case TlsShape::OneWrite:
    case TlsShape::Segments:
      return kFirstNone;
    case TlsShape::Blocks:
    case TlsShape::LineBuffer:
      return kFirstBody;
    case TlsShape::Lines:
      return kFirstLine | kFirstField | kFirstHeaderLine;
    case TlsShape::HeadersApart:
      return kFirstHeader | kFirstEdge;
    case TlsShape::Template:
      return kFirstInside;
    case TlsShape::Unknown:
      break;
  }
  return 0;
}

void observe_under_tls(const Trace& trace, const Writes& writes, const Features& features,
                       Traits& traits) {
  const bool read = trace.landmarks.header_end != 0;
  // The milter counted the body. Then the size fits, or it is known by how much it does not.
  const bool counted = trace.window == Window::Exact || trace.miss != 0;
  traits.untold = kSaidByMail | (read ? 0 : kReceived) | (counted ? 0 : kBlankEnd) |
                  (trace.window == Window::Inferred ? kSaidToMilter : 0);
  traits.talk &= ~traits.untold;
  traits.size = to_u32(trace.size);
  traits.every = true;
  traits.slack = trace.hello.slack;
  if (trace.hello.ja4.size() == kJa4Size) {
    std::copy_n(trace.hello.ja4.begin(), kJa4Size, traits.hello.begin());
  }
  traits.clean = trace.state == State::Complete && trace.hello.slack == 0;
  traits.first = tls_first(features.shape);
  const bool cut = !features.cuts.empty() && tells_writer(features.cuts.front().place);
  if (cut) traits.offset = features.cuts.front().offset;
  // A place that is known only roughly is not used.
  const bool placed = read && trace.window != Window::Near;
  if (cut && placed && features.shape != TlsShape::LineBuffer) {
    traits.first =
        places_of(traits.offset, features.cuts.front().place == Place::HeaderLine, trace.landmarks);
  }
  traits.line_end = features.shape == TlsShape::LineBuffer;
  if (features.shape == TlsShape::Lines) {
    constexpr std::uint32_t kLongestLine = 1000;  // RFC 5321, 4.5.3.1.6
    const bool bulk = std::any_of(writes.sizes.begin(), writes.sizes.end(),
                                  [](std::uint32_t size) { return size > kLongestLine; });
    traits.body = bulk ? BodyWay::Bulk : BodyWay::Lines;
  }
  // With BDAT the chunks cut the program's writes, as in clear. Only the dialogue shows the
  // program.
  if (trace.transfer == Transfer::Bdat) {
    traits.first = 0;
    traits.offset = 0;
    return;
  }
  const bool apart = !features.cuts.empty() && features.cuts.back().place == Place::Terminator;
  // Sizes that are known to a block do not show whether the terminator has 3 or 5 bytes.
  const bool three = writes.sizes.back() <= 3;
  traits.dot = !apart              ? DotWay::Joined
               : traits.slack != 0 ? DotWay::Apart
               : three             ? DotWay::Apart3
                                   : DotWay::Apart5;
}

}  // namespace

Traits observe(const Trace& trace, const Writes& writes, const Features& features) {
  Traits traits;
  const Dialogue& talk = trace.dialogue;
  traits.talk = talk_bits(trace);
  traits.helo = talk.greeting == Dialogue::Greeting::Helo && !talk.fallback;
  traits.no_offer = talk.fallback || talk.greeting == Dialogue::Greeting::None;
  // Where the server or some commands were not seen, only the words that were seen count.
  if (trace.window == Window::OneSided) traits.untold = kUnheard & ~traits.talk;
  if (!trace.records.empty()) observe_under_tls(trace, writes, features, traits);
  // A trace with records shows the writes by its records, not by its segments. A trace that was
  // written by hand may have records without `tls=yes`.
  if (trace.tls || !trace.records.empty() || trace.transfer == Transfer::Bdat) return traits;

  traits.size = to_u32(trace.size);
  const SegmentSizes& sizes = writes.segment;
  const bool steady = sizes.other == 0 && sizes.announced == 0;
  traits.full = steady ? writes.full : 0;
  traits.clean =
      steady && features.repaired == 0 && trace.state == State::Complete && trace.via != Via::Read;
  const auto first = std::find_if(features.cuts.begin(), features.cuts.end(), [](const Cut& cut) {
    return tells_writer(cut.place) || cut.place == Place::Terminator;
  });
  if (first != features.cuts.end() && tells_writer(first->place) && !features.hidden_first) {
    const auto boundary =
        std::find_if(writes.boundaries.begin(), writes.boundaries.end(),
                     [&](const Boundary& candidate) { return candidate.offset == first->offset; });
    traits.offset = first->offset;
    traits.line_end =
        boundary != writes.boundaries.end() && trace.segments[boundary->segment].line_end;
    if (trace.window != Window::Near) {
      traits.first = places_of(first->offset, traits.line_end, trace.landmarks);
    }
  } else if (first == features.cuts.end() || !features.hidden_first) {
    // A message without a cut shows something only if there was room for a cut: below three
    // segments, every entry of one write would fit. With two, the share of wrong names among the
    // programs' recordings rises from 0.001 to 0.005. With four nothing changes. With five, the
    // share of right names in the corpus falls from 0.860 to 0.830.
    // Where PSH shows that writes ended inside full segments, it was not one write.
    if (features.pushed.block != 0) {
      traits.offset = features.pushed.block;
      traits.first = places_of(traits.offset, false, trace.landmarks);
    } else if (features.pushed.pushed == 0 && features.segments >= 3 &&
               trace.state == State::Complete) {
      traits.first = kFirstNone;
    }
  }
  traits.body = body_of(trace, writes, features);
  traits.dot = dot_of(trace, writes, features);
  traits.nagle = nagle_of(trace, writes, features);
  return traits;
}

}  // namespace classifier
