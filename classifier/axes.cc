// How the program writes, and what the path did. Pure functions; any thread.
//
// With Nagle's algorithm only the first write shows (writes.cc). So the first cut that shows the
// writer decides, and the later cuts confirm or contradict it. Each kind of cut is an answer that
// chance could also give. The checks begin with the answer that chance gives least often: a
// buffer's grid (1 in 1024), the end of the header, the first line, another line, the middle of a
// line.
#include "classifier/axes.h"

#include <algorithm>

#include "classifier/stream.h"

namespace classifier {
namespace {

// Strength is 1 less all doubts, and it is a forecast: of the findings with strength 0.9, one in
// ten is wrong. A doubt is the probability that a different writer made the same boundaries. The
// doubts of each finding on a clean trace come from the recordings (tests/data) and the simulator
// (README, Confidence).
constexpr double kOneBlockEnd = 0.04;  // a multiple of 1024 also happens by chance
constexpr double kSomeBlockEnds = 0.015;
constexpr double kOtherBlock = 0.15;  // no usual buffer has this size
constexpr double kOffGrid = 0.30;     // times the share of cuts off the grid
constexpr double kLineBuffer = 0.15;
constexpr double kHeadersApart = 0.02;
constexpr double kFirstField = 0.05;  // a line writer makes the same first cut
constexpr double kFirstLine = 0.02;
constexpr double kSomeLine = 0.08;
constexpr double kManyLines = 0.015;
constexpr double kOneTemplateCut = 0.06;
constexpr double kTemplateCuts = 0.02;
constexpr double kShortStream = 0.06;  // at most two full segments, and a tail
constexpr double kLongStream = 0.03;
constexpr double kHiddenStream = 0.25;  // the first flight is shorter than a usual buffer
constexpr double kPushedStream = 0.30;  // PSH says that writes ended inside full segments
constexpr double kPushedBlocks = 0.15;  // few of them have PSH, and a block explains which
constexpr double kManyPushedBlocks = 0.04;
constexpr double kSpoiledStream = 0.40;  // one odd cut in a long message
// Each of these damages the evidence and adds to the doubt.
constexpr double kRepairDoubt = 0.08;   // times the share of repaired segments
constexpr double kWeakCutDoubt = 0.15;  // times (kSureCut - confidence of the first cut)
constexpr double kMovingDoubt = 0.05;   // the full size changed: a cut may be a remnant
constexpr double kReadDoubt = 0.03;
constexpr double kPartialDoubt = 0.25;
// Under TLS the text is encrypted, so the end of the header is not known.
constexpr double kTlsStream = 0.05;
constexpr double kTlsPlace = 0.15;  // for a header apart, or for few lines
constexpr double kTlsTemplate = 0.35;
// The message was found, but not to the byte.
constexpr double kNearDoubt = 0.15;
constexpr double kSureCut = 0.95;    // a cut of this confidence adds no doubt
constexpr double kMostDoubt = 0.70;  // so the strength never falls below 0.3

// A second full size above this share of the first one is a few bytes less, as in a tunnel. The
// path did not move.
constexpr std::uint32_t kOtherPercent = 90;
// The doubts of the path.
constexpr double kRunOfFulls = 0.005;
constexpr double kSomeFulls = 0.03;
constexpr double kNoFulls = 0.06;  // only the announced size is known
constexpr double kManyMoves = 0.01;
constexpr double kOneMove = 0.05;

// A bulk writer's full segments carry PSH in every second segment, because Linux forms its send
// units so. With Nagle's algorithm a line writer's full segments carry almost none. Over whole
// messages the recordings have a share of 0.43 to 0.50 for bulk writers and of 0.08 to 0.25 for
// line writers.
constexpr double kBulkPushShare = 0.33;
// These shares hold for round trips of milliseconds. On shorter ones Linux forms send units of many
// segments: one write at 0.1 ms had a share of 0.17. Nagle's algorithm holds nothing back there, so
// a line writer shows its later lines as further cuts.
constexpr std::uint32_t kShortRoundTripUs = 1000;
// One unexplained cut among at least this many segments does not show another writer than a stream.
constexpr std::uint32_t kLongMessage = 20;
// The path is noisy where at least this share of the segments was repaired and nothing explains the
// cuts.
constexpr double kNoisyShare = 0.15;
// The strength of `noisy`: this start and the share of repaired segments, at most kMostNoisy. Both
// were chosen. No figure of the recordings (tests/data) changes for a start of 0.3 to 0.7, or for a
// limit of 0.7 to 1. At kNoisyShare the strength is 0.65. Larger numbers make a noisy path look
// certain, although a writer may have made the cuts. With smaller ones `min_confidence` holds back
// an action for which other signs ask. The default weight of `noisy` is 0, so no score changes.
constexpr double kLeastNoisy = 0.5;
constexpr double kMostNoisy = 0.9;
// At least this many unexplained cuts make a path noisy. One alone may be a write of the program.
constexpr std::uint32_t kNoisyCuts = 2;

// So many full segments with PSH where a block ends, and none elsewhere, are no chance.
constexpr std::uint32_t kManyPushed = 3;
// With at least this many cuts at line ends the doubt is the smallest.
constexpr std::uint32_t kRepeatedLines = 3;
// Three full segments of 1448 bytes are longer than a buffer of 4096. So a writer with such a
// buffer would have shown an end.
constexpr std::uint32_t kLongRun = 3;

// Exim sends the header and the body in one chunk each. More chunks hide the program's own writes.
constexpr std::uint32_t kFewChunks = 2;

struct Findings {
  const Trace& trace;
  const Writes& writes;
  const Features& features;
  const Cut* first = nullptr;  // the first cut that shows the writer
};

WriterReading reading(Writer writer, double doubt) {
  WriterReading result;
  result.writer = writer;
  result.strength = 1 - doubt;
  return result;
}

WriterReading as_blocks(const Findings& f, Reasons& why) {
  const Features& features = f.features;
  const bool usual = f.first->place == Place::Grid;
  double doubt = !usual ? kOtherBlock : (features.on_grid > 1 ? kSomeBlockEnds : kOneBlockEnd);
  const double off_grid = static_cast<double>(features.telling() - features.on_grid);
  doubt += kOffGrid * off_grid / features.telling();
  why.add(Because::BlockEnds, features.on_grid, features.telling(), features.block);
  WriterReading result = reading(Writer::Blocks, doubt);
  result.block = features.block;
  return result;
}

// A cut inside a header line or at a buffer's end shows the writer, whatever the other cuts are.
bool tells_alone(Place place) {
  return place == Place::HeaderMiddle || place == Place::Grid;
}

std::uint32_t line_cuts(const Features& features) {
  return features.at(Place::FirstField) + features.at(Place::FirstLine) +
         features.at(Place::HeaderLine) + features.at(Place::BodyLine);
}

WriterReading as_lines(const Findings& f, Reasons& why) {
  const bool first_line = f.first->place == Place::FirstLine;
  const bool first_field = f.first->place == Place::FirstField;
  double doubt = first_line || first_field ? kFirstLine : kSomeLine;
  if (line_cuts(f.features) >= kRepeatedLines) doubt = kManyLines;
  why.add(first_line    ? Because::FirstAtLine
          : first_field ? Because::FirstAtField
                        : Because::FirstAtHeaderLine,
          f.first->offset);
  return reading(Writer::Lines, doubt);
}

// A relay that adds its Received field writes that field alone and the rest in bulk. A program that
// writes lines makes the same first cut and then writes line by line.
bool writes_in_bulk(const Findings& f) {
  // Between the cut and the tail a shorter message has one full segment at most. Its PSH is that of
  // the flight's end, whatever the writer is. No figure of the recordings changes for 2 to 8.
  constexpr std::uint32_t kLeastSegments = 4;
  const Features& features = f.features;
  if (features.telling() > 1) return false;
  if (features.pushed.fulls != 0) return features.pushed.pushed * 2 < features.pushed.fulls;
  const std::uint32_t rtt_us = f.trace.path.rtt_us;
  if (rtt_us != 0 && rtt_us < kShortRoundTripUs) return true;
  return !f.writes.segment.pushes || features.push_share == 0 ||
         features.segments < kLeastSegments || features.push_share >= kBulkPushShare;
}

WriterReading by_first_cut(const Findings& f, Reasons& why) {
  const Features& features = f.features;
  const std::uint32_t middles = features.at(Place::HeaderMiddle);
  const std::uint32_t in_header = middles + features.at(Place::FirstField) +
                                  features.at(Place::FirstLine) + features.at(Place::HeaderLine);
  // The program wrote `Subject: `, and then the value. So the second cut is at the end of the line,
  // before its CRLF.
  const bool repeated = middles + features.at(Place::HeaderLine) > 1;
  const auto as_template = [&] {
    why.add(Because::InsideHeader, middles);
    return reading(Writer::Template, repeated ? kTemplateCuts : kOneTemplateCut);
  };
  switch (f.first->place) {
    case Place::HeaderMiddle:
      return as_template();
    case Place::FirstField:
      if (f.trace.landmarks.fields.front().received && writes_in_bulk(f)) {
        why.add(Because::ReceivedAlone);
        return reading(Writer::ReceivedFirst, kFirstField);
      }
      [[fallthrough]];
    case Place::FirstLine:
    case Place::HeaderLine:
      if (middles >= 2 && middles * 2 > in_header) return as_template();
      return as_lines(f, why);
    case Place::HeaderEnd:
      why.add(f.first->offset == f.trace.landmarks.header_end ? Because::FirstAtHeaderEnd
                                                              : Because::FirstAtBody,
              f.first->offset);
      return reading(Writer::HeadersApart, kHeadersApart);
    case Place::Grid:
    case Place::BodyLine:
    case Place::BodyMiddle:
    case Place::Terminator:
    case Place::Chunk:
      break;
  }
  // A long message has one cut in its body that nothing explains. A full socket buffer makes such a
  // cut.
  if (features.segments >= kLongMessage * features.telling()) {
    why.add(Because::OddCuts, features.telling());
    return reading(Writer::Stream, kSpoiledStream);
  }
  why.add(Because::FirstAtNothing, f.first->offset);
  return {};
}

// Returns the bytes of the first flight where the congestion window ended that flight. Returns 0
// where it did not, or where the trace does not show it. On a slow link all gaps are long, and
// there the program's writes do show.
//
//     1448 ─ 1448 ──────── 40 ms ──────── 1448 ─ 1448 ─ 1448 ─ 1448 ──── …       2896
//
// A gap of at least half a round trip is the wait for an acknowledgement. After the wait the next
// segment follows at once, within an eighth of a round trip. On a slow link it does not. Both
// shares were chosen. On the recordings nothing changes for a quarter to a half of a round trip, or
// for 1/20 to 1/2 after it; from three quarters on the calibration error of the programs is 0.0300
// and not 0.0305. With a larger second share, a slow link looks like a full window and a stream
// loses confidence. With a smaller one, a delayed packet hides the window.
//
// A shorter gap counts as a pause of the sender's machine if it is at least 1 ms and 16 times as
// long as every gap before it: then a VPN program has not read its interface yet. What was written
// in the meantime is joined, as after a full window.
//
//     1331 ─ 1331 ─ 1331 ─ 1331 ─ 1331 ─ 1331 ── 10 ms ── 1331 ─ 1331 ─ …        7986
std::uint32_t ended_by_window(const Trace& trace) {
  constexpr std::uint32_t kTold = 5000;  // below, a gap may be a pause of the sending machine
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt < kTold || trace.via == Via::Read) return 0;
  constexpr std::uint32_t kStill = 1000;
  constexpr std::uint32_t kTimesWider = 16;
  std::uint32_t bytes = 0;
  std::uint64_t widest = 0;  // gap so far
  for (std::size_t i = 0; i + 1 < trace.segments.size(); ++i) {
    const std::uint32_t gap = trace.segments[i].gap_us;
    const bool still = widest != 0 && gap >= kStill && gap >= kTimesWider * widest;
    if (i != 0 && (gap >= rtt / 2 || still)) {
      return trace.segments[i + 1].gap_us < (still ? gap : rtt) / 8 ? bytes : 0;
    }
    if (i != 0) widest = std::max<std::uint64_t>(widest, gap);
    bytes += trace.segments[i].size;
  }
  return 0;
}

WriterReading without_cuts(const Findings& f, Reasons& why) {
  if (!f.trace.records.empty()) {
    why.add(Because::OneWrite);
    return reading(Writer::Stream, kTlsStream);
  }
  if (f.features.segments < 2) {
    why.add(Because::OneSegment);
    return {};
  }
  if (f.features.at(Place::Chunk) > kFewChunks) {
    why.add(Because::Chunks, f.features.at(Place::Chunk) + 1);
    return {};
  }
  const bool hidden =
      f.writes.hidden_end || std::any_of(f.writes.boundaries.begin(), f.writes.boundaries.end(),
                                         [&](const Boundary& boundary) {
                                           return f.trace.segments[boundary.segment].count > 1;
                                         });
  if (hidden) {
    why.add(Because::ReadsHide);
    return {};
  }
  const PushedEnds& pushed = f.features.pushed;
  if (pushed.block != 0) {
    why.add(Because::PushedBlocks, pushed.pushed, pushed.fulls, pushed.block);
    WriterReading result =
        reading(Writer::Blocks, pushed.pushed < kManyPushed ? kPushedBlocks : kManyPushedBlocks);
    result.block = pushed.block;
    return result;
  }
  const std::uint32_t fulls = f.writes.segment.fulls;
  if (fulls == 0) {
    why.add(Because::OneWrite);
  } else {
    why.add(Because::FullThenTail, fulls);
  }
  if (pushed.pushed != 0) {
    why.add(Because::PushedEnds, pushed.pushed, pushed.fulls);
    return reading(Writer::Stream, kPushedStream);
  }
  // After the first flight Nagle's algorithm joins the writes, and the end of a buffer no longer
  // shows.
  constexpr std::uint32_t kUsualBuffer = 8192;
  const std::uint32_t flight = ended_by_window(f.trace);
  if (flight != 0 && flight < kUsualBuffer && f.trace.size > kUsualBuffer) {
    why.add(Because::ShortFlight, flight);
    return reading(Writer::Stream, kHiddenStream);
  }
  return reading(Writer::Stream, fulls >= kLongRun ? kLongStream : kShortStream);
}

WriterReading decide_writer(const Findings& f, Reasons& why) {
  // One of these boundaries may be the end of the first write, which decides the writer.
  if (f.features.untold != 0 && (f.first == nullptr || !tells_alone(f.first->place))) return {};
  if (f.first == nullptr) return without_cuts(f, why);
  if (f.features.block != 0 && f.features.on_grid != 0) {
    const bool landmark = f.first->place == Place::HeaderEnd ||
                          f.first->place == Place::FirstField || f.first->place == Place::FirstLine;
    if (!landmark) return as_blocks(f, why);
  }
  if (f.features.hidden_first) {
    why.add(Because::ReadsHide, f.first->offset);
    return {};
  }
  if (f.features.line_buffer) {
    why.add(Because::LineBuffer);
    return reading(Writer::Blocks, kLineBuffer);
  }
  return by_first_cut(f, why);
}

// Are all segments known, but not the text? Packets were captured in part, or bytes of the header
// are missing. Then a buffer's end still shows by its place. Any other cut could be at the header's
// end or inside a line.
bool text_unread(const Trace& trace) {
  return trace.state == State::Partial && !trace.tls && trace.landmarks.first_line_end == 0;
}

// Is nothing missing up to the end of the header? Where that end is not known: up to the end of the
// message. Under TLS the records show the writes, and they are read from the stream.
bool header_seen(const Trace& trace) {
  if (!trace.records.empty()) return true;
  const Landmarks& marks = trace.landmarks;
  const std::uint64_t header = std::max(marks.header_end, marks.body_begin);
  std::uint64_t seen = 0;
  for (const Segment& segment : trace.segments) {
    if (segment.hole) return header != 0 && seen >= header;
    seen += segment.size;
  }
  return seen >= (header != 0 ? header : trace.size);
}

double tls_doubt(Writer writer, const Features& features) {
  switch (writer) {
    case Writer::Lines:
      return line_cuts(features) >= kRepeatedLines ? 0 : kTlsPlace;
    case Writer::HeadersApart:
      return kTlsPlace;
    case Writer::Template:
      return kTlsTemplate;
    case Writer::Unknown:
    case Writer::Stream:
    case Writer::Blocks:
    case Writer::ReceivedFirst:
      break;
  }
  return 0;
}

}  // namespace

WriterReading read_writer(const Trace& trace, const Writes& writes, const Features& features,
                          Reasons& why) {
  if (trace.tls && trace.records.empty()) {
    why.add(Because::Encrypted);
    WriterReading unknown;
    unknown.hidden = trace.state == State::Partial;
    return unknown;
  }
  Findings findings{trace, writes, features};
  for (const Cut& cut : features.cuts) {
    if (!tells_writer(cut.place)) continue;
    findings.first = &cut;
    break;
  }
  WriterReading result = decide_writer(findings, why);
  // The first cuts decide. A part of the header is enough to show a cut inside a header line. Only
  // the whole header shows that there is no such cut.
  const bool partial = trace.state == State::Partial;
  const bool unread = text_unread(trace) && findings.first != nullptr &&
                      findings.first->place != Place::Grid && result.writer != Writer::Blocks;
  if (unread || (partial && result.writer != Writer::Template && !header_seen(trace))) {
    why.add(Because::HeaderHole);
    result = {};
    result.hidden = true;
    return result;
  }
  if (features.at(Place::Terminator) != 0) why.add(Because::Terminator);
  if (result.writer == Writer::Unknown) return result;
  double doubt = 1 - result.strength;
  if (findings.first != nullptr) {
    doubt +=
        kWeakCutDoubt * std::max(0.0, kSureCut - static_cast<double>(findings.first->confidence));
  }
  if (features.repaired != 0) {
    doubt += kRepairDoubt * std::min(1.0, features.repaired_share());
    why.add(Because::Repaired, features.repaired, features.segments);
  }
  const bool near = trace.window == Window::Near;
  if (trace.window == Window::Inferred || (near && trace.hello.slack != 0)) {
    doubt += tls_doubt(result.writer, features);
    why.add(Because::UnderTls);
  }
  if (near) {
    doubt += kNearDoubt;
    why.add(Because::Near, to_u32(trace.miss));
  }
  if (writes.segment.other != 0 && trace.records.empty()) doubt += kMovingDoubt;
  if (trace.via == Via::Read) doubt += kReadDoubt;
  if (partial) doubt += kPartialDoubt;
  result.strength = 1 - std::min(doubt, kMostDoubt);
  return result;
}

PathReading read_path(const Writes& writes, const Features& features, Writer writer, Reasons& why) {
  const SegmentSizes& sizes = writes.segment;
  PathReading result;
  if (sizes.full == 0) return result;
  const bool unexplained = writer == Writer::Unknown && features.telling() >= kNoisyCuts;
  if (unexplained && features.repaired_share() >= kNoisyShare) {
    result.path = PathShape::Noisy;
    result.strength = std::min(kMostNoisy, kLeastNoisy + features.repaired_share());
    why.add(Because::Noise, features.repaired, features.segments, features.telling());
    return result;
  }
  const bool moved = sizes.other != 0 &&
                     std::uint64_t{sizes.other} * 100 <= std::uint64_t{sizes.full} * kOtherPercent;
  if (moved) {
    // Path MTU discovery never shows the larger size to the receiver, because those segments were
    // dropped on the way. So where both sizes arrive, the path itself changed during the message.
    result.path = PathShape::Fluctuating;
    result.strength = 1 - (sizes.moves > 1 ? kManyMoves : kOneMove);
    why.add(Because::FullSizeMoves, sizes.full, sizes.other, sizes.moves);
    return result;
  }
  result.path = sizes.full <= kSmallMss ? PathShape::Small : PathShape::Full;
  result.strength = 1 - (sizes.fulls >= kLongRun ? kRunOfFulls
                         : sizes.fulls > 0       ? kSomeFulls
                                                 : kNoFulls);
  if (sizes.fulls == 0) {
    why.add(Because::NoneFull, sizes.full);
  } else {
    why.add(Because::SegmentsOf, sizes.fulls, sizes.full);
  }
  return result;
}

}  // namespace classifier
