#include "milter/page/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "milter/page/strip.h"

namespace page {
namespace {

// In per cent of a picture's width; a picture is at most about 1000 pixels wide.
constexpr double kNarrow = 0.12;   // a narrower box (about one pixel) is joined with its neighbour
constexpr double kVisible = 0.06;  // the least width at which a box is drawn
// A narrower box is too small to be pointed at: it has no title and is a part of one path with the
// others, so that a picture of thousands of segments stays small (about 90 KB at most).
constexpr double kPointed = 0.5;
// A picture for a table is about 120 pixels wide and has paths only, at most 4 KB.
constexpr double kMiniNarrow = 0.8;
constexpr double kUnits = 100;  // of a path, in one per cent of the width

// A label is drawn if it fits on a wide screen. The style sheet hides it on a narrow screen if it
// does not fit there.
constexpr double kCharacter = 7;       // pixels that one character needs
constexpr double kWideScreen = 10;     // pixels of one per cent on a wide screen
constexpr double kNarrowScreen = 2.9;  // pixels of one per cent on a narrow screen

// If the header would be narrower than this (per cent), it is drawn a second time, enlarged.
constexpr double kTooNarrow = 25;
// If the end of the header is not known, this many bytes of the message are enlarged instead.
constexpr std::uint64_t kBeginning = 4096;

struct Box {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string_view kind;  // class of the style sheet
  std::uint32_t size = 0;
  std::string title;
};

std::vector<Box> segment_boxes(const classifier::Trace& trace) {
  std::vector<Box> boxes;
  boxes.reserve(trace.segments.size());
  std::uint64_t at = 0;
  for (const auto& segment : trace.segments) {
    const std::string_view kind = segment.resent          ? "resent"
                                  : segment.late          ? "late"
                                  : boxes.size() % 2 == 0 ? "s"
                                                          : "s2";
    std::string title = fmt::format("segment {}: {} bytes", boxes.size() + 1, segment.size);
    if (segment.before != 0) title += fmt::format(", {} before", segment.before);
    if (segment.after != 0) title += fmt::format(", {} after", segment.after);
    if (segment.push) title += ", PSH";
    if (segment.resent) title += ", retransmitted";
    if (segment.late) title += ", late";
    if (segment.gap_us != 0) title += fmt::format(", {} us after the last one", segment.gap_us);
    boxes.push_back({at, at + segment.size, kind, segment.size, std::move(title)});
    at += segment.size;
  }
  return boxes;
}

std::vector<Box> write_boxes(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  std::vector<Box> boxes;
  std::uint64_t at = 0;
  for (const std::uint64_t end : write_ends(trace, verdict)) {
    const std::uint32_t size = verdict.writes[boxes.size()];
    boxes.push_back({at, end, boxes.size() % 2 == 0 ? "w" : "w2", size,
                     fmt::format("write {}: {} bytes", boxes.size() + 1, size)});
    at = end;
  }
  return boxes;
}

// Maps byte offsets to places in a picture. The first `share` per cent of the picture show the
// bytes before `fold`, the rest of the picture shows the bytes after it.
struct Scale {
  std::uint64_t begin = 0;
  std::uint64_t fold = 0;
  std::uint64_t end = 0;
  double share = 0;

  double x(std::uint64_t offset) const {
    offset = std::clamp(offset, begin, end);
    const auto part = [](std::uint64_t some, std::uint64_t all) {
      return all == 0 ? 0.0 : static_cast<double>(some) / static_cast<double>(all);
    };
    if (offset <= fold) return share * part(offset - begin, fold - begin);
    return share + (100 - share) * part(offset - fold, end - fold);
  }
};

class Panel {
 public:
  // `narrow`: boxes that are narrower are joined; `pointed`: narrower ones have no title. In per
  // cent.
  Panel(const classifier::Trace& trace, const Scale& scale, double narrow, double pointed)
      : trace_(trace), scale_(scale), narrow_(narrow), pointed_(pointed) {}

  // Draws a row of boxes. Neighbours that are too narrow to see become one box, so that the number
  // of boxes has a limit.
  void row(const std::vector<Box>& boxes, int top, int height) {
    for (std::size_t i = 0; i < boxes.size();) {
      const Box& first = boxes[i];
      std::size_t last = i;
      while (last + 1 < boxes.size() && x(boxes[last].end) - x(first.begin) < narrow_) ++last;
      if (boxes[last].end > scale_.begin && first.begin < scale_.end) {
        box(first, boxes[last], last - i + 1, top, height);
      }
      i = last + 1;
    }
  }

  void holes(double top, double height) {
    std::uint64_t at = 0;
    for (const auto& segment : trace_.segments) {
      if (segment.hole && at >= scale_.begin && at < scale_.end) {
        line("hole", x(at), top, top + height, "bytes that were not captured");
      }
      at += segment.size;
    }
  }

  void mark(std::uint64_t offset, std::string_view label, double y, double bottom) {
    if (offset == 0 || offset < scale_.begin || offset > scale_.end) return;
    constexpr double kRight = 80;
    const double at = x(offset);
    line("mark", at, 12, bottom, {});
    svg_ += fmt::format("<text class=\"{}\" x=\"{:.2f}%\" y=\"{}\">{}</text>\n",
                        at > kRight ? "marks e" : "marks", at, y, label);
  }

  void line(std::string_view kind, double at, double top, double bottom, std::string_view title) {
    svg_ +=
        fmt::format("<line class=\"{0}\" x1=\"{1:.2f}%\" x2=\"{1:.2f}%\" y1=\"{2}\" y2=\"{3}\">",
                    kind, at, top, bottom);
    if (!title.empty()) svg_ += fmt::format("<title>{}</title>", title);
    svg_ += "</line>\n";
  }

  std::string take(std::string_view kind, std::string_view name) {
    std::string pieces;
    for (const auto& [box_kind, path] : pieces_) {
      pieces += fmt::format("<path class=\"{}\" d=\"{}\"/>", box_kind, path);
    }
    if (!pieces.empty()) {
      pieces = fmt::format(
          "<svg width=\"100%\" height=\"100\" viewBox=\"0 0 {} 100\" "
          "preserveAspectRatio=\"none\">{}</svg>\n",
          100 * kUnits, pieces);
    }
    return fmt::format("<svg class=\"{}\" role=\"img\" aria-label=\"{}\">\n{}{}</svg>\n", kind,
                       name, pieces, svg_);
  }

 private:
  double x(std::uint64_t offset) const { return scale_.x(offset); }

  void box(const Box& first, const Box& last, std::size_t count, int top, int height) {
    const double left = x(first.begin);
    const double width = std::max(kVisible, x(last.end) - left);
    if (width < pointed_) {
      piece(first.kind, left, width, top, height);
      return;
    }
    svg_ +=
        fmt::format("<rect class=\"{}\" x=\"{:.2f}%\" y=\"{}\" width=\"{:.2f}%\" height=\"{}\">",
                    first.kind, left, top, width, height);
    svg_ += count == 1 ? "<title>" + first.title + "</title></rect>"
                       : fmt::format("<title>{} in {} bytes</title></rect>", count,
                                     last.end - first.begin);
    if (count == 1) label(first, left, width, top + height / 2 + 4);
    svg_ += '\n';
  }

  void label(const Box& box, double left, double width, int y) {
    const std::string label = fmt::format("{}", box.size);
    const double needed = kCharacter * static_cast<double>(label.size()) + 4;
    if (width * kWideScreen <= needed) return;
    svg_ +=
        fmt::format("<text class=\"{}\" x=\"{:.2f}%\" y=\"{}\">{}</text>",
                    width * kNarrowScreen > needed ? "m" : "m wide", left + width / 2, y, label);
  }

  void piece(std::string_view kind, double left, double width, int top, int height) {
    const auto units = [](double share) { return std::lround(share * kUnits); };
    pieces_[kind] +=
        fmt::format("M{} {}h{}v{}h-{}z", units(left), top, units(width), height, units(width));
  }

  const classifier::Trace& trace_;
  const Scale scale_;
  const double narrow_;
  const double pointed_;
  std::map<std::string_view, std::string> pieces_;  // the paths, by their class
  std::string svg_;
};

// Scales a landmark to the drawn bytes. Landmarks count bytes of the message, but pictures show
// bytes of segments, of which there are more under TLS.
std::uint64_t drawn(const classifier::Trace& trace, std::uint64_t offset) {
  if (trace.records.empty() || trace.size == 0) return offset;
  return static_cast<std::uint64_t>(static_cast<double>(offset) *
                                    static_cast<double>(segments_size(trace)) /
                                    static_cast<double>(trace.size));
}

// The end of the header, with the empty line after it if that is known; 0: not known.
std::uint64_t header_end(const classifier::Trace& trace) {
  return drawn(trace, std::max(trace.landmarks.header_end, trace.landmarks.body_begin));
}

std::string panel(const classifier::Trace& trace, const classifier::Verdict& verdict,
                  const Scale& scale, std::string_view name) {
  constexpr int kSegmentTop = 18;
  constexpr int kWriteTop = 52;
  constexpr int kHeight = 28;
  constexpr double kBottom = 84;
  Panel panel(trace, scale, kNarrow, kPointed);
  panel.row(segment_boxes(trace), kSegmentTop, kHeight);
  panel.row(write_boxes(trace, verdict), kWriteTop, kHeight);
  panel.holes(kSegmentTop, kHeight);
  const auto& marks = trace.landmarks;
  const std::uint64_t total = segments_size(trace);
  panel.mark(drawn(trace, marks.first_line_end), "first line", 10, kBottom);
  panel.mark(drawn(trace, marks.header_end), "end of header", 96, kBottom);
  if (marks.terminator != 0 && total > marks.terminator) {
    panel.mark(total - marks.terminator, "dot", 10, kBottom);
  }
  return panel.take("picture", name);
}

}  // namespace

std::string picture(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  const std::uint64_t total = segments_size(trace);
  if (total == 0) return {};
  const std::string what = fmt::format("{} bytes in {} segments; {} writes were recovered", total,
                                       trace.segments.size(), verdict.writes.size());
  const Scale whole{.end = total};
  const std::uint64_t header = header_end(trace);
  // The first bytes after the header are shown too, so that a boundary after the header is visible.
  const std::uint64_t shown = header != 0 ? header + header / 8 : kBeginning;
  std::string text;
  if (shown < total && whole.x(shown) < kTooNarrow) {
    const std::string_view part = header != 0 ? "The header, enlarged" : "The beginning, enlarged";
    text = fmt::format("<p class=\"soft scale\">{}: bytes 0 to {}</p>\n", part, shown);
    text +=
        panel(trace, verdict, {.end = shown}, fmt::format("{}: its first {} bytes", part, shown));
    text += fmt::format("<p class=\"soft scale\">The whole message: bytes 0 to {}</p>\n", total);
  }
  return text + panel(trace, verdict, whole, what);
}

std::string mini_picture(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  const std::uint64_t total = segments_size(trace);
  if (total == 0) return {};
  Scale scale{.end = total};
  constexpr double kHeaderShare = 100.0 / 3;
  const std::uint64_t header = header_end(trace);
  const bool folded = header != 0 && header < total && scale.x(header) < kHeaderShare;
  if (folded) scale = {.fold = header, .end = total, .share = kHeaderShare};
  constexpr double kNone = 101;  // no box has a title
  Panel panel(trace, scale, kMiniNarrow, kNone);
  panel.row(segment_boxes(trace), 1, 8);
  panel.row(write_boxes(trace, verdict), 11, 8);
  if (folded) panel.line("mark", kHeaderShare, 0, 20, {});
  return panel.take(
      "mini", fmt::format("{} segments, {} writes", trace.segments.size(), verdict.writes.size()));
}

std::string picture_legend() {
  struct Row {
    std::string_view kind;
    std::string_view meaning;
  };
  constexpr Row kRows[] = {
      {"s", "a TCP segment, as wide as it has bytes (upper row; two shades in turn)"},
      {"w", "a write of the sending program, as recovered from the segments (lower row)"},
      {"resent",
       "a retransmitted segment: the network or TCP decided where it ends, not the program"},
      {"late", "a segment that arrived after a segment that follows it in the message"}};
  std::string text = "<ul>\n";
  for (const auto& [kind, meaning] : kRows) {
    text += fmt::format(
        "<li><svg class=\"key\" aria-hidden=\"true\"><rect class=\"{}\" width=\"100%\" "
        "height=\"100%\"/></svg> {}</li>\n",
        kind, meaning);
  }
  return text +
         "<li>dashed line: a landmark of the message (the end of the first line, the end of the "
         "header, the dot that ends the message); in the table it marks the end of the header, "
         "and the header is enlarged</li>\n"
         "<li>thick line: bytes that were not captured</li>\n</ul>\n";
}

}  // namespace page
