// Prints the results as a table. Each message has a row, and below it, indented, its strip, its
// sizes and its reasons. Colours are used only on a terminal.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "classifier/trace_text.h"
#include "milter/offline/report.h"
#include "milter/page/strip.h"
#include "milter/time/rfc3339.h"
#include "text/ascii.h"
#include "text/printable.h"

namespace offline {
namespace {

using page::strip;

constexpr std::size_t kStrip = 92;  // the width of a strip; with its indent it fits in 100 columns
constexpr std::size_t kRuns = 16;   // how many sizes are printed, counting equal neighbours as one

constexpr std::string_view kBold = "1";
constexpr std::string_view kDim = "2";
constexpr std::string_view kRed = "31;1";
constexpr std::string_view kGreen = "32";
constexpr std::string_view kYellow = "33";

// Escapes the control characters of a file's name, so that a name from an unknown source cannot
// control the terminal. Letters outside of ASCII stay as they are.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) text::is_control(c) ? text::append_printable(out, c) : out.push_back(c);
  return out;
}

std::string_view colour_of(classifier::Pattern pattern) {
  using classifier::Pattern;
  switch (pattern) {
    case Pattern::BotTemplate:
    case Pattern::BotHeadersApart:
      return kRed;
    case Pattern::Mobile:
    case Pattern::GarageServer:
    case Pattern::LineWriter:
    case Pattern::KilobyteBlocks:
      return kYellow;
    case Pattern::OfficialMta:
    case Pattern::Relay:
      return kGreen;
    case Pattern::Unobserved:
    case Pattern::Indistinct:
    case Pattern::Noisy:
      return kDim;
  }
  return kDim;
}

class TextReport final : public Report {
 public:
  TextReport(std::FILE* out, bool colours) : out_(out), colours_(colours) {}

  void message(const Result& result) override {
    if (result.file != file_) {
      file_ = result.file;
      fmt::print(out_, "{}{}\n", count_ == 0 ? "" : "\n", paint(kBold, file_name(file_)));
      fmt::print(
          out_, "{}\n",
          paint(kDim,
                fmt::format("  {:>3}  {:<17} {:<15} {:<11} {:>5} {:>4} {:>6}  {:<9} {}", "no",
                            "pattern", "writer", "path", "mss", "conf", "score", "bytes", "who")));
    }
    ++count_;
    ++patterns_[classifier::name(result.verdict.pattern)];
    row(result);
    details(result);
  }

  void end() override {
    if (count_ == 0) {
      fmt::print(out_, "no messages\n");
    } else if (count_ > 1) {
      fmt::print(out_, "\n{} messages:", count_);
      std::string_view comma = "";
      for (const auto& [pattern, count] : patterns_) {
        fmt::print(out_, "{} {} {}", std::exchange(comma, ","), count, pattern);
      }
      fmt::print(out_, "\n");
    }
  }

 private:
  std::string paint(std::string_view colour, const std::string& text) const {
    return colours_ ? fmt::format("\x1b[{}m{}\x1b[0m", colour, text) : text;
  }

  void row(const Result& result) {
    const auto& verdict = result.verdict;
    std::string writer(classifier::name(verdict.writer));
    if (verdict.block != 0) writer += fmt::format(" {}", verdict.block);
    std::string who;
    const auto add = [&](const std::string& text) { who += (who.empty() ? "" : "  ") + text; };
    if (result.time_ns != 0) add(rfc3339::print_time(result.time_ns));
    if (result.client.port() != 0) add(result.client.print());
    if (result.server.port() != 0) who += " > " + result.server.print();
    if (!result.helo.empty()) add("helo=" + text::printable(result.helo));
    if (verdict.gait != "unknown") add("gait=" + text::printable(verdict.gait));
    if (const auto kind = verdict.unnamed_class())
      add(fmt::format("class={}", classifier::name(*kind)));
    const std::string pattern = fmt::format("{:<17}", classifier::name(verdict.pattern));
    const std::string mss = verdict.mss == 0 ? "-" : fmt::format("{}", verdict.mss);
    fmt::print(out_, "  {:>3}  {} {:<15} {:<11} {:>5} {:>4.2f} {:>+6.1f}  {:<9} {}\n",
               result.number, paint(colour_of(verdict.pattern), pattern), writer,
               classifier::name(verdict.path), mss, verdict.confidence, verdict.score,
               result.trace.size, who);
  }

  void details(const Result& result) {
    const std::string line = strip(result.trace, result.verdict, kStrip);
    if (!line.empty()) {
      fmt::print(out_, "       {}\n", paint_strip(line));
      fmt::print(out_, "       {}\n", classifier::print_sizes(result.trace, kRuns));
      if (!result.trace.records.empty()) {
        fmt::print(out_, "       writes, under TLS: {}\n",
                   classifier::print_sizes(result.verdict.writes, kRuns));
      }
    }
    std::string reasons;
    for (const auto& reason : result.verdict.reasons.sentences()) {
      reasons += fmt::format("{}{}", reasons.empty() ? "" : "; ", text::printable(reason));
    }
    if (!reasons.empty()) fmt::print(out_, "       {}\n", paint(kDim, reasons));
    if (result.decision.would != classifier::Action::None) {
      fmt::print(out_, "       would {}\n", classifier::name(result.decision.would));
    }
  }

  std::string paint_strip(const std::string& line) const {
    if (!colours_) return line;
    std::string out;
    for (const char c : line) {
      const std::string_view colour = c == '|'   ? kRed
                                      : c == '-' ? kDim
                                      : c == '+' ? kGreen
                                                 : kYellow;
      out += paint(colour, std::string(1, c));
    }
    return out;
  }

  std::FILE* out_;
  bool colours_;
  std::string file_;
  std::uint64_t count_ = 0;
  std::map<std::string_view, std::uint64_t> patterns_;
};

}  // namespace

std::unique_ptr<Report> text_report(std::FILE* out, bool colours) {
  return std::make_unique<TextReport>(out, colours);
}

}  // namespace offline
