// How the program writes and what the path did. Pure functions; any thread.
//
// Behind Nagle only the first write shows (writes.cc), so the first telling cut decides, and the
// later ones confirm or refuse. The order of the questions is from the cause that leaves the least
// room for chance to the one that leaves the most: a buffer's grid (1 in 1024), the end of the
// header, the first line, some line, the middle of a line.
#include "classifier/axes.h"

#include <fmt/format.h>

#include <algorithm>

namespace classifier {
namespace {

// Strengths of each finding on a clean trace; what weakens evidence multiplies below. Chosen so
// that a finding of one cut stays under 0.9 and one that repeats goes above.
constexpr double kOneBlockEnd = 0.85;
constexpr double kSomeBlockEnds = 0.95;
constexpr double kOtherBlock = 0.75;  // a size that is no usual buffer's
constexpr double kLineBuffer = 0.65;
constexpr double kHeadersApart = 0.92;
constexpr double kFirstField = 0.88;
constexpr double kFirstLine = 0.90;
constexpr double kSomeLine = 0.70;
constexpr double kManyLines = 0.95;
constexpr double kOneTemplateCut = 0.75;
constexpr double kTemplateCuts = 0.95;
constexpr double kShortStream = 0.60;  // a full segment or none, and a tail
constexpr double kLongStream = 0.92;
constexpr double kSpoiledStream = 0.55;  // one odd cut in a long message
constexpr double kRepairCost = 0.5;      // at most this much is lost to repairs
constexpr double kReadFactor = 0.75;
constexpr double kPartialFactor = 0.6;

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

// Exim sends the header and the body in a chunk each. More chunks hide the program's own writes.
constexpr std::uint32_t kFewChunks = 2;

struct Findings {
  const Trace& trace;
  const Writes& writes;
  const Features& features;
  const Cut* first = nullptr;  // first telling cut
};

WriterReading reading(Writer writer, double strength, std::string reason) {
  WriterReading result;
  result.writer = writer;
  result.strength = strength;
  result.reasons.push_back(std::move(reason));
  return result;
}

WriterReading as_blocks(const Findings& f) {
  const bool usual = f.first->place == Place::Grid;
  double strength = !usual ? kOtherBlock : (f.features.on_grid > 1 ? kSomeBlockEnds : kOneBlockEnd);
  strength *= 0.5 + 0.5 * f.features.on_grid / f.features.telling();
  WriterReading result =
      reading(Writer::Blocks, strength,
              fmt::format("{} of {} write ends are multiples of {}", f.features.on_grid,
                          f.features.telling(), f.features.block));
  result.block = f.features.block;
  return result;
}

std::uint32_t line_cuts(const Features& features) {
  return features.at(Place::FirstField) + features.at(Place::FirstLine) +
         features.at(Place::HeaderLine) + features.at(Place::BodyLine);
}

WriterReading as_lines(const Findings& f) {
  const std::uint32_t lines = line_cuts(f.features);
  double strength = kSomeLine;
  if (f.first->place == Place::FirstLine || f.first->place == Place::FirstField) {
    strength = kFirstLine;
  }
  if (lines >= 3) strength = kManyLines;
  return reading(Writer::Lines, strength,
                 fmt::format("first write ends at byte {}, {}", f.first->offset,
                             f.first->place == Place::HeaderLine  ? "the end of a header line"
                             : f.first->place == Place::FirstLine ? "the end of the first line"
                                                                  : "the end of the first field"));
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

WriterReading by_first_cut(const Findings& f) {
  const Features& features = f.features;
  const std::uint32_t middles = features.at(Place::HeaderMiddle);
  const std::uint32_t in_header = middles + features.at(Place::FirstField) +
                                  features.at(Place::FirstLine) + features.at(Place::HeaderLine);
  // `Subject: `, then its value: the second cut is at the end of the line, its CRLF to follow.
  const bool repeated = middles + features.at(Place::HeaderLine) > 1;
  const auto as_template = [&] {
    return reading(
        Writer::Template, repeated ? kTemplateCuts : kOneTemplateCut,
        fmt::format("{} write{} inside a header line", middles, middles > 1 ? "s end" : " ends"));
  };
  switch (f.first->place) {
    case Place::HeaderMiddle:
      return as_template();
    case Place::FirstField:
      if (f.trace.landmarks.fields.front().received && writes_in_bulk(f)) {
        return reading(Writer::ReceivedFirst, kFirstField,
                       "the first Received field alone, then in bulk");
      }
      [[fallthrough]];
    case Place::FirstLine:
    case Place::HeaderLine:
      if (middles >= 2 && middles * 2 > in_header) return as_template();
      return as_lines(f);
    case Place::HeaderEnd:
      return reading(
          Writer::HeadersApart, kHeadersApart,
          fmt::format(
              "first write ends at byte {}, the end of the header{}", f.first->offset,
              f.first->offset == f.trace.landmarks.header_end ? "" : " and its blank line"));
    case Place::Grid:
    case Place::BodyLine:
    case Place::BodyMiddle:
    case Place::Terminator:
    case Place::Chunk:
      break;
  }
  // A long message with one cut in its body that nothing explains: a full socket buffer, say.
  if (features.segments >= kLongMessage * features.telling()) {
    return reading(Writer::Stream, kSpoiledStream,
                   fmt::format("full segments but for {} cut{} in the body", features.telling(),
                               features.telling() > 1 ? "s" : ""));
  }
  WriterReading result;
  result.reasons.push_back(
      fmt::format("first write ends at byte {}, where nothing ends", f.first->offset));
  return result;
}

WriterReading without_cuts(const Findings& f) {
  if (f.features.segments < 2) {
    WriterReading result;
    result.reasons.emplace_back("one segment");
    return result;
  }
  if (f.features.at(Place::Chunk) > kFewChunks) {
    WriterReading result;
    result.reasons.push_back(fmt::format("{} BDAT chunks", f.features.at(Place::Chunk) + 1));
    return result;
  }
  const bool hidden = std::any_of(
      f.writes.boundaries.begin(), f.writes.boundaries.end(),
      [&](const Boundary& boundary) { return f.trace.segments[boundary.segment].count > 1; });
  if (hidden) {
    WriterReading result;
    result.reasons.emplace_back("reads joined the segments unevenly");
    return result;
  }
  const std::uint32_t fulls = f.writes.segment.fulls;
  return reading(Writer::Stream, fulls >= 3 ? kLongStream : kShortStream,
                 fulls == 0
                     ? std::string("one write, then the end")
                     : fmt::format("{} full segment{} and a tail", fulls, fulls == 1 ? "" : "s"));
}

WriterReading decide_writer(const Findings& f) {
  if (f.first == nullptr) return without_cuts(f);
  if (f.features.block != 0 && f.features.on_grid != 0) {
    const bool landmark = f.first->place == Place::HeaderEnd ||
                          f.first->place == Place::FirstField || f.first->place == Place::FirstLine;
    if (!landmark) return as_blocks(f);
  }
  if (f.features.hidden_first) {
    WriterReading result;
    result.reasons.push_back(
        fmt::format("reads joined the segments in front of byte {} unevenly", f.first->offset));
    return result;
  }
  if (f.features.line_buffer) {
    return reading(Writer::Blocks, kLineBuffer, "write ends at line ends below a buffer's size");
  }
  return by_first_cut(f);
}

}  // namespace

WriterReading read_writer(const Trace& trace, const Writes& writes, const Features& features) {
  if (trace.tls) {
    WriterReading result;
    result.reasons.emplace_back("encrypted: segments do not show the writes");
    return result;
  }
  Findings findings{trace, writes, features};
  for (const Cut& cut : features.cuts) {
    if (!tells_writer(cut.place)) continue;
    findings.first = &cut;
    break;
  }
  WriterReading result = decide_writer(findings);
  if (features.at(Place::Terminator) != 0) result.reasons.emplace_back("terminator apart");
  if (result.writer == Writer::Unknown) return result;
  if (findings.first != nullptr) {
    result.strength *= 0.5 + 0.5 * static_cast<double>(findings.first->confidence);
  }
  if (features.repaired != 0) {
    const double share = std::min(1.0, features.repaired_share());
    result.strength *= 1 - kRepairCost * share;
    result.reasons.push_back(
        fmt::format("{} of {} segments repaired", features.repaired, features.segments));
  }
  if (trace.via == Via::Read) result.strength *= kReadFactor;
  if (trace.state == State::Partial) result.strength *= kPartialFactor;
  return result;
}

PathReading read_path(const Writes& writes, const Features& features, Writer writer) {
  const SegmentSizes& sizes = writes.segment;
  PathReading result;
  if (sizes.full == 0) return result;
  const bool unexplained = writer == Writer::Unknown && features.telling() >= kNoisyCuts;
  if (unexplained && features.repaired_share() >= kNoisyShare) {
    result.path = PathShape::Noisy;
    result.strength = std::min(0.9, 0.5 + features.repaired_share());
    result.reasons.push_back(fmt::format("{} of {} segments repaired, {} cuts unexplained",
                                         features.repaired, features.segments, features.telling()));
    return result;
  }
  if (sizes.other != 0) {
    // Path MTU discovery never shows the larger size to the receiver: its segments died on the way.
    // Both sizes arriving means that the path itself changed while the message was sent.
    result.path = PathShape::Fluctuating;
    result.strength = sizes.moves > 1 ? 0.95 : 0.75;
    result.reasons.push_back(fmt::format("full size moves between {} and {}, {} time{}", sizes.full,
                                         sizes.other, sizes.moves, sizes.moves == 1 ? "" : "s"));
    return result;
  }
  result.path = sizes.full <= kSmallMss ? PathShape::Small : PathShape::Full;
  result.strength = sizes.fulls >= 3 ? 0.97 : (sizes.fulls > 0 ? 0.85 : 0.60);
  result.reasons.push_back(
      sizes.fulls == 0 ? fmt::format("segments of {} are possible, none was full", sizes.full)
                       : fmt::format("{} segment{} of {}", sizes.fulls, sizes.fulls == 1 ? "" : "s",
                                     sizes.full));
  return result;
}

}  // namespace classifier
