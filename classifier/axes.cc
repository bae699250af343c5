// How the program writes and what the path did. Pure functions; any thread.
//
// Behind Nagle only the first write shows (writes.cc), so the first telling cut decides, and the
// later ones confirm or refuse. The order of the questions is from the cause that leaves the least
// room for chance to the one that leaves the most: a buffer's grid (1 in 1024), the end of the
// header, the first line, some line, the middle of a line.
#include "classifier/axes.h"

#include <algorithm>

#include "classifier/stream.h"

namespace classifier {
namespace {

// Strength is 1 less all doubts, and means what a forecast means: of the findings of strength 0.9,
// one in ten is wrong. The doubts of each finding on a clean trace, from the lab's recordings and
// the simulator (README, Confidence); by what another writer would need to make the same cuts.
constexpr double kOneBlockEnd = 0.04;  // chance meets a multiple of 1024 now and then
constexpr double kSomeBlockEnds = 0.015;
constexpr double kOtherBlock = 0.15;  // a size that is no usual buffer's
constexpr double kOffGrid = 0.30;     // times the share of cuts that are not on the grid
constexpr double kLineBuffer = 0.15;
constexpr double kHeadersApart = 0.02;
constexpr double kFirstField = 0.05;  // a line writer begins with the same cut
constexpr double kFirstLine = 0.02;
constexpr double kSomeLine = 0.08;
constexpr double kManyLines = 0.015;
constexpr double kOneTemplateCut = 0.06;
constexpr double kTemplateCuts = 0.02;
constexpr double kShortStream = 0.06;  // one full segment or none, and a tail
constexpr double kLongStream = 0.03;
constexpr double kHiddenStream = 0.25;   // buffers in use are larger than the first flight
constexpr double kSpoiledStream = 0.40;  // one odd cut in a long message
// What spoils the evidence adds to the doubt.
constexpr double kRepairDoubt = 0.08;   // times the share of repaired segments
constexpr double kWeakCutDoubt = 0.15;  // times what the first cut's boundary lacks of certainty
constexpr double kMovingDoubt = 0.05;   // the full size changed: cuts may be remnants
constexpr double kReadDoubt = 0.03;
constexpr double kPartialDoubt = 0.25;
// Under TLS nobody read where the header ends.
constexpr double kTlsStream = 0.05;
constexpr double kTlsPlace = 0.15;  // of a header apart, or of few lines
constexpr double kTlsTemplate = 0.35;
// The message was found, but not to the byte.
constexpr double kNearDoubt = 0.15;
constexpr double kSureCut = 0.95;    // a cut of this confidence adds nothing
constexpr double kMostDoubt = 0.70;  // a finding is still the likeliest of several

// A second size above this share of the first is a tunnel's few bytes, and no moving path.
constexpr std::uint32_t kOtherPercent = 90;
// The path's own.
constexpr double kRunOfFulls = 0.005;
constexpr double kSomeFulls = 0.03;
constexpr double kNoFulls = 0.06;  // the announced size only
constexpr double kManyMoves = 0.01;
constexpr double kOneMove = 0.05;

// A bulk writer's full segments carry PSH at every second segment (Linux sizes its send units so),
// a line writer's nearly none behind Nagle: 0.08 to 0.25 against 0.43 to 0.50 in the lab.
constexpr double kBulkPushShare = 0.33;
// That share belongs to round trips of milliseconds: below, Linux makes send units of many segments
// (0.17 was measured for one write at 0.1 ms), but there Nagle holds nothing either, and a line
// writer shows its later lines as further cuts.
constexpr std::uint32_t kShortRoundTripUs = 1000;
// One unexplained cut among this many segments does not make a stream another writer.
constexpr std::uint32_t kLongMessage = 20;
// From this share of repaired segments on, and with cuts that nothing explains, the path is noisy.
constexpr double kNoisyShare = 0.15;
// Cuts without PSH, in a trace that has PSH elsewhere, that were made on the way.
constexpr std::uint32_t kNoisyCuts = 2;

// From so many cuts at line ends on, no doubt is left.
constexpr std::uint32_t kRepeatedLines = 3;
// A message of so many full segments had room for every buffer in use to show its end.
constexpr std::uint32_t kLongRun = 3;

// Exim sends the header and the body in a chunk each. More chunks hide the program's own writes.
constexpr std::uint32_t kFewChunks = 2;

struct Findings {
  const Trace& trace;
  const Writes& writes;
  const Features& features;
  const Cut* first = nullptr;  // first telling cut
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

// A cut inside of a header line, or at a buffer's end, is made by a writer of its own, whatever
// else is cut.
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

// The first Received alone and the rest in bulk is a relay that prepends its trace field; the same
// and then line by line is a program that writes lines.
bool writes_in_bulk(const Findings& f) {
  const Features& features = f.features;
  if (features.telling() > 1) return false;
  const std::uint32_t rtt_us = f.trace.path.rtt_us;
  if (rtt_us != 0 && rtt_us < kShortRoundTripUs) return true;
  return !f.writes.segment.pushes || features.push_share == 0 || features.segments < 4 ||
         features.push_share >= kBulkPushShare;
}

WriterReading by_first_cut(const Findings& f, Reasons& why) {
  const Features& features = f.features;
  const std::uint32_t middles = features.at(Place::HeaderMiddle);
  const std::uint32_t in_header = middles + features.at(Place::FirstField) +
                                  features.at(Place::FirstLine) + features.at(Place::HeaderLine);
  // `Subject: `, then its value: the second cut is at the end of the line, its CRLF to follow.
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
  // A long message with one cut in its body that nothing explains: a full socket buffer, say.
  if (features.segments >= kLongMessage * features.telling()) {
    why.add(Because::OddCuts, features.telling());
    return reading(Writer::Stream, kSpoiledStream);
  }
  why.add(Because::FirstAtNothing, f.first->offset);
  return {};
}

// Bytes of the first flight, where it was the congestion window that ended it; 0: it was not, or
// nothing tells. On a slow link all gaps are long, and then what is written does show.
//
//     1448 ─ 1448 ──────── 40 ms ──────── 1448 ─ 1448 ─ 1448 ─ 1448 ──── …       2896
std::uint32_t ended_by_window(const Trace& trace) {
  constexpr std::uint32_t kTold = 5000;  // a round trip that differs from any machine's pauses
  const std::uint32_t rtt = trace.path.rtt_us;
  if (rtt < kTold || trace.via == Via::Read) return 0;
  std::uint32_t bytes = 0;
  for (std::size_t i = 0; i + 1 < trace.segments.size(); ++i) {
    if (i != 0 && trace.segments[i].gap_us >= rtt / 2) {
      return trace.segments[i + 1].gap_us < rtt / 8 ? bytes : 0;
    }
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
  const std::uint32_t fulls = f.writes.segment.fulls;
  if (fulls == 0) {
    why.add(Because::OneWrite);
  } else {
    why.add(Because::FullThenTail, fulls);
  }
  // Behind the first flight Nagle joins what is written, and a buffer's end is seen no more.
  constexpr std::uint32_t kUsualBuffer = 8192;
  const std::uint32_t flight = ended_by_window(f.trace);
  if (flight != 0 && flight < kUsualBuffer && f.trace.size > kUsualBuffer) {
    why.add(Because::ShortFlight, flight);
    return reading(Writer::Stream, kHiddenStream);
  }
  return reading(Writer::Stream, fulls >= kLongRun ? kLongStream : kShortStream);
}

WriterReading decide_writer(const Findings& f, Reasons& why) {
  // The first write's end may be one of these, and it is what tells.
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

// All segments may be there and nobody have read the text: packets that were captured in part, or a
// gap in the header. Then a buffer's end shows by its place, and no other cut is told from one at
// the header's end or inside a line.
bool text_unread(const Trace& trace) {
  return trace.state == State::Partial && !trace.tls && trace.landmarks.first_line_end == 0;
}

// Whether nothing is missing up to the header's end; where that is not known, up to the message's.
// Under TLS the records tell of the writes, and they are read from the stream.
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
  // The first cuts tell most. Where a program cut inside its header lines is seen in what is there;
  // that it did not is not.
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
    result.strength = std::min(0.9, 0.5 + features.repaired_share());
    why.add(Because::Noise, features.repaired, features.segments, features.telling());
    return result;
  }
  const bool moved = sizes.other != 0 &&
                     std::uint64_t{sizes.other} * 100 <= std::uint64_t{sizes.full} * kOtherPercent;
  if (moved) {
    // Path MTU discovery never shows the larger size to the receiver: its segments died on the way.
    // Both sizes arriving means that the path itself changed while the message was sent.
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
