// One self-contained page: no script, nothing loaded from elsewhere, and a content policy that says
// so. A message is a section with a picture: segments to scale, below them the recovered writes,
// and the landmarks across both. All text from outside is escaped. Written as the messages come.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/offline/report.h"
#include "milter/offline/strip.h"

namespace offline {
namespace {

constexpr double kWidth = 1000;  // of a picture, in its own units
constexpr double kSegmentTop = 18;
constexpr double kWriteTop = 52;
constexpr double kBar = 28;
constexpr double kHeight = 100;
constexpr double kNarrow = 1.2;   // what is narrower is drawn together with its neighbour
constexpr double kCharacter = 7;  // width a character of a label needs
constexpr std::size_t kRuns = 60;

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>segmilter classify</title>
<style>
:root { --paper: #fff; --ink: #1a1c1f; --soft: #5c636b; --line: #d9dde2; --seg: #9db7d5; --seg2: #bccfe4;
  --write: #d9b98a; --write2: #e7d2b3; --fixed: #c8553d; --mark: #7a2e8e; --bad: #b3261e; --good: #2e7d32; --odd: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e8ea; --soft: #9aa3ad; --line: #343a41;
  --seg: #41638a; --seg2: #2f4a69; --write: #86672f; --write2: #664e24; --fixed: #e0735c; --mark: #c98bd9;
  --bad: #ff8a80; --good: #81c784; --odd: #e0b050; } }
body { margin: 2rem auto; max-width: 66rem; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding: 1rem 0; }
.bad { color: var(--bad); } .good { color: var(--good); } .odd { color: var(--odd); } .soft { color: var(--soft); }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .4rem 0; } dl div { display: flex; gap: .4rem; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--ink); }
.s { fill: var(--seg); } .s2 { fill: var(--seg2); } .w { fill: var(--write); } .w2 { fill: var(--write2); }
.resent { fill: var(--fixed); } .late { fill: var(--odd); } .hole { stroke: var(--bad); stroke-width: 3; }
.mark { stroke: var(--mark); stroke-dasharray: 3 2; } svg .marks { fill: var(--mark); }
ul { margin: .3rem 0; padding-left: 1.2rem; } code { font-size: .8rem; overflow-wrap: anywhere; color: var(--soft); }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; }
</style></head><body>
<h1>How these messages were sent</h1>
<p class="soft">Above: TCP segments, to scale. Below: what the program wrote, as recovered. Dashed: landmarks of the
message. A pattern says which program sent a message over which path, not that it is spam.</p>
)";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Control characters are not allowed in HTML; other bytes pass (a name may be UTF-8).
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return out;
}

std::string_view class_of(classifier::Pattern pattern) {
  using classifier::Pattern;
  switch (pattern) {
    case Pattern::BotTemplate:
    case Pattern::BotHeadersApart:
      return "bad";
    case Pattern::OfficialMta:
    case Pattern::Relay:
      return "good";
    case Pattern::Mobile:
    case Pattern::GarageServer:
    case Pattern::LineWriter:
    case Pattern::KilobyteBlocks:
      return "odd";
    case Pattern::Unobserved:
    case Pattern::Indistinct:
    case Pattern::Noisy:
      return "soft";
  }
  return "soft";
}

// A bar of boxes from left to right; `kind` is the box's class, `title` what a pointer shows.
struct Box {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string_view kind;
  std::string label;
  std::string title;
};

class Picture {
 public:
  explicit Picture(const Result& result) : trace_(result.trace), verdict_(result.verdict) {
    total_ = segments_size(trace_);
  }

  std::string draw() {
    if (total_ == 0) return {};
    svg_ = fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} segments, {} writes\">\n", kWidth,
        kHeight, trace_.segments.size(), verdict_.writes.size());
    bar(segments(), kSegmentTop);
    bar(writes(), kWriteTop);
    holes();
    landmarks();
    return svg_ + "</svg>\n";
  }

 private:
  double x(std::uint64_t offset) const {
    return static_cast<double>(std::min(offset, total_)) * kWidth / static_cast<double>(total_);
  }

  std::vector<Box> segments() const {
    std::vector<Box> boxes;
    std::uint64_t at = 0;
    for (const auto& segment : trace_.segments) {
      const std::string_view kind = segment.resent          ? "resent"
                                    : segment.late          ? "late"
                                    : boxes.size() % 2 == 0 ? "s"
                                                            : "s2";
      std::string title = fmt::format("segment {}: {} bytes", boxes.size() + 1, segment.size);
      if (segment.before != 0) title += fmt::format(", {} before", segment.before);
      if (segment.after != 0) title += fmt::format(", {} behind", segment.after);
      if (segment.push) title += ", PSH";
      if (segment.resent) title += ", sent again";
      if (segment.late) title += ", late";
      if (segment.gap_us != 0) title += fmt::format(", after {} us", segment.gap_us);
      boxes.push_back({at, at + segment.size, kind, fmt::format("{}", segment.size), title});
      at += segment.size;
    }
    return boxes;
  }

  std::vector<Box> writes() const {
    std::vector<Box> boxes;
    std::uint64_t at = 0;
    for (const std::uint64_t end : write_ends(trace_, verdict_)) {
      const std::uint32_t size = verdict_.writes[boxes.size()];
      boxes.push_back({at, end, boxes.size() % 2 == 0 ? "w" : "w2", fmt::format("{}", size),
                       fmt::format("write {}: {} bytes", boxes.size() + 1, size)});
      at = end;
    }
    return boxes;
  }

  // Neighbours too narrow to see become one box, so that a picture's size is bounded by its width.
  void bar(const std::vector<Box>& boxes, double top) {
    for (std::size_t i = 0; i < boxes.size();) {
      const Box& first = boxes[i];
      std::size_t last = i;
      while (last + 1 < boxes.size() && x(boxes[last].end) - x(first.begin) < kNarrow) ++last;
      const double left = x(first.begin);
      const double width = std::max(0.4, x(boxes[last].end) - left);
      const std::string title =
          last == i ? first.title
                    : fmt::format("{} in {} bytes", last - i + 1, boxes[last].end - first.begin);
      svg_ += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" "
          "height=\"{}\"><title>{}</title></rect>",
          first.kind, left, top, width, kBar, title);
      if (last == i && width > kCharacter * static_cast<double>(first.label.size()) + 4) {
        svg_ += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                            left + width / 2, top + kBar / 2 + 4, first.label);
      }
      svg_ += '\n';
      i = last + 1;
    }
  }

  void holes() {
    std::uint64_t at = 0;
    for (const auto& segment : trace_.segments) {
      if (segment.hole) {
        svg_ += fmt::format(
            "<line class=\"hole\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"><title>bytes "
            "that were not captured</title></line>\n",
            x(at), kSegmentTop, kSegmentTop + kBar);
      }
      at += segment.size;
    }
  }

  void mark(std::uint64_t offset, std::string_view label, double y) {
    if (offset == 0 || offset > total_) return;
    const double at = x(offset);
    const bool right = at > kWidth * 0.8;
    svg_ += fmt::format(
        "<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"12\" y2=\"84\"/><text "
        "class=\"marks\" "
        "x=\"{1:.1f}\" y=\"{2}\"{3}>{4}</text>\n",
        at, right ? at - 3 : at + 3, y, right ? " text-anchor=\"end\"" : "", label);
  }

  void landmarks() {
    const auto& marks = trace_.landmarks;
    mark(marks.first_line_end, "first line", 11);
    mark(marks.header_end, "header", 96);
    if (marks.terminator != 0 && total_ > marks.terminator) {
      mark(total_ - marks.terminator, "dot", 11);
    }
  }

  const classifier::Trace& trace_;
  const classifier::Verdict& verdict_;
  std::uint64_t total_ = 0;
  std::string svg_;
};

class HtmlReport final : public Report {
 public:
  explicit HtmlReport(std::FILE* out) : out_(out) {}

  void begin() override { print(kHead); }

  void message(const Result& result) override {
    const auto& verdict = result.verdict;
    ++patterns_[verdict.pattern];
    print(fmt::format("<section><h2>{}, message {}: <span class=\"{}\">{}</span></h2>\n<dl>",
                      escape(result.file), result.message, class_of(verdict.pattern),
                      classifier::name(verdict.pattern)));
    const auto item = [&](std::string_view key, const std::string& value) {
      print(fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", key, escape(value)));
    };
    if (result.client.port() != 0) {
      item("from", result.client.print());
      item("to", result.server.print());
    }
    item("writer", std::string(classifier::name(verdict.writer)));
    if (verdict.block != 0) item("block", fmt::format("{}", verdict.block));
    item("path", std::string(classifier::name(verdict.path)));
    if (verdict.mss != 0) item("mss", fmt::format("{}", verdict.mss));
    item("confidence", fmt::format("{:.2f}", verdict.confidence));
    item("score", fmt::format("{:+.1f}", verdict.score));
    if (verdict.would != classifier::Action::None) {
      item("would", std::string(classifier::name(verdict.would)));
    }
    item("gait", verdict.gait);
    item("bytes", fmt::format("{}", result.trace.size));
    if (result.trace.tls) item("tls", "yes");
    if (result.trace.transfer == classifier::Transfer::Bdat) item("transfer", "BDAT");
    print("</dl>\n");
    print(Picture(result).draw());
    if (!result.trace.segments.empty()) {
      print(fmt::format("<p class=\"soft\">segments {}</p>\n",
                        escape(classifier::print_sizes(result.trace, kRuns))));
    }
    print("<ul>");
    for (auto&& reason : verdict.reasons) print(fmt::format("<li>{}</li>", escape(reason)));
    print("</ul>\n");
    print(fmt::format(
        "<details><summary class=\"soft\">trace</summary><code>{}</code></details></section>\n",
        escape(classifier::print(result.trace))));
  }

  void end() override {
    print("<section><h2>Patterns</h2><table>");
    for (const auto& [pattern, count] : patterns_) {
      print(fmt::format("<tr><td>{}</td><td>{}</td></tr>", classifier::name(pattern), count));
    }
    if (patterns_.empty()) print("<tr><td>no messages</td></tr>");
    print("</table></section>\n</body></html>\n");
  }

 private:
  void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), out_); }

  std::FILE* out_;
  std::map<classifier::Pattern, std::uint64_t> patterns_;
};

}  // namespace

std::unique_ptr<Report> html_report(std::FILE* out) {
  return std::make_unique<HtmlReport>(out);
}

}  // namespace offline
