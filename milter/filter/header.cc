#include "milter/filter/header.h"

#include <fmt/format.h>
#include <strings.h>

#include <cmath>
#include <vector>

#include "classifier/trace_text.h"
#include "text/ascii.h"

namespace filter {
namespace {

// RFC 5322, 2.1.1 recommends at most 78 characters for a line.
constexpr std::size_t kLastColumn = 77;
constexpr std::size_t kTabColumns = 8;  // how wide a terminal shows the folding tab
constexpr std::size_t kNameColumns = sizeof kHeaderName + 1;  // "X-Protocol-Pattern: "
constexpr std::size_t kMaxHost = 255;                         // RFC 1035, 2.3.4

bool is_word(char c) {
  return text::is_visible(c) && c != ';';
}

std::string word(std::string_view text, std::size_t limit) {
  std::string result;
  for (const char c : text.substr(0, limit)) {
    if (is_word(c)) result.push_back(c);
  }
  return result;
}

// "-0.0" would be correct but confusing.
double rounded(double value, double unit) {
  const double result = std::round(value / unit) * unit;
  return result == 0 ? 0 : result;
}

// The items in the header's order, without the separators.
std::vector<std::string> items(std::string_view hostname, const classifier::Trace& trace,
                               const classifier::Verdict& verdict, const policy::Decision& decision,
                               bool tls, std::size_t max_runs) {
  using classifier::Action;
  const bool observed = trace.state != classifier::State::Unobserved;
  std::vector<std::string> list;
  const auto add = [&list](std::string_view key, std::string_view value) {
    list.push_back(fmt::format("{}={}", key, value));
  };
  list.push_back(host_word(hostname));
  add("pattern", classifier::name(verdict.pattern));
  add("score", fmt::format("{:.1f}", rounded(verdict.score, 0.1)));
  add("confidence", fmt::format("{:.2f}", rounded(verdict.confidence, 0.01)));
  add("action", classifier::name(decision.action));
  if (decision.would != decision.action && decision.would != Action::None) {
    add("would", classifier::name(decision.would));
  }
  add("writer", classifier::name(verdict.writer));
  add("path", classifier::name(verdict.path));
  if (verdict.block != 0) add("block", std::to_string(verdict.block));
  const bool balanced = trace.via == classifier::Via::Balancer;  // also for unobserved messages
  if ((observed && trace.via != classifier::Via::Kernel) || balanced) {
    add("via", classifier::name(trace.via));
  }
  const std::string gait = word(verdict.gait, 64);  // names of gaits have at most 24 characters
  add("gait", gait.empty() ? "unknown" : gait);
  if (const auto kind = verdict.unnamed_class()) add("class", classifier::name(*kind));
  if (observed) add("mss", verdict.mss != 0 ? std::to_string(verdict.mss) : "unknown");
  add("tls", tls || trace.tls ? "yes" : "no");
  if (observed && classifier::unread(trace)) add("window", classifier::name(trace.window));
  if (observed) add("segments", classifier::print_sizes(trace, max_runs));
  if (trace.reason != classifier::Reason::None) add("reason", classifier::name(trace.reason));
  if (!verdict.reasons.empty()) add("why", classifier::print_why(verdict.reasons));
  add("v", "1");
  return list;
}

// Appends words one after the other, and breaks the line if the next one does not fit.
class Folder {
 public:
  void put(std::string_view item) {
    if (fits(1 + item.size())) {
      if (!text_.empty()) append(" ");
      append(item);
      return;
    }
    if (!text_.empty()) break_line();
    put_long(item);
  }

  std::string take() { return std::move(text_); }

 private:
  bool fits(std::size_t columns) const { return column_ + columns <= kLastColumn; }

  void append(std::string_view text) {
    text_.append(text);
    column_ += text.size();
  }

  void break_line() {
    text_.append("\n\t");
    column_ = kTabColumns;
  }

  // An item longer than a line is broken after its commas. An item without commas (a long host
  // name) is not broken.
  void put_long(std::string_view item) {
    bool first = true;
    while (!item.empty()) {
      const auto comma = item.find(',');
      const auto piece = item.substr(0, comma == std::string_view::npos ? comma : comma + 1);
      if (!first && !fits(piece.size())) break_line();
      append(piece);
      item.remove_prefix(piece.size());
      first = false;
    }
  }

  std::string text_;
  std::size_t column_ = kNameColumns;
};

}  // namespace

bool is_own_header(std::string_view name) {
  constexpr std::size_t size = sizeof kHeaderName - 1;
  return text::same(name, {kHeaderName, size});
}

std::string host_word(std::string_view hostname) {
  std::string result = word(hostname, kMaxHost);
  return result.empty() ? "localhost" : result;
}

std::string header_value(std::string_view hostname, const classifier::Trace& trace,
                         const classifier::Verdict& verdict, const policy::Decision& decision,
                         bool tls, std::size_t max_runs, const Signing* signing) {
  auto list = items(hostname, trace, verdict, decision, tls, max_runs);
  if (signing != nullptr) {
    const auto header = fmt::format("{}", fmt::join(list, ";"));
    list.insert(list.end() - 1, seal::make(header, signing->identity, signing->key, signing->now));
  }
  Folder folder;
  for (std::size_t i = 0; i < list.size(); ++i) {
    folder.put(i + 1 < list.size() ? list[i] + ";" : list[i]);
  }
  return folder.take();
}

}  // namespace filter
