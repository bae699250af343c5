// Prints the results as one HTML page. It has no script and loads nothing, and its content security
// policy forbids both. The page starts with an overview that has a row for each message. Then come
// the messages by client, each with a picture, and an explanation of the words. All text from
// outside is escaped.
//
// The overview comes first and is sorted, so the page can only be written at the end. Until then
// each message's section waits in a temporary file, and its row of the overview in memory.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/offline/report.h"
#include "milter/page/drawing.h"
#include "milter/page/page.h"
#include "milter/page/table.h"
#include "milter/time/rfc3339.h"

namespace offline {
namespace {

using page::escape;
using page::foreign;
using page::in_words;
using page::kPageEnd;
using page::mini_picture;
using page::named;
using page::page_begin;
using page::picture;
using page::picture_legend;

// How many sizes of segments are printed of a message, counting equal neighbours as one.
constexpr std::size_t kRuns = 60;

// The largest number of messages on a page; the others are only counted. Chosen, not measured:
// browsers become slow on larger pages.
constexpr std::size_t kMaxMessages = 2000;

constexpr std::string_view kTerms = R"(<h2 id="terms">What the words mean</h2>
<dl class="terms">
<dt>pattern</dt><dd>The label of the message. It says how the program wrote the message and how the network changed its segments. It does not say that the message is spam.</dd>
<dt>gait</dt><dd>The program that writes and talks like this, if segmilter knows one. Programs that write and talk in the same way share a name.</dd>
<dt>class</dt><dd>The kind of program. It is shown if several known programs write and talk like this and all are of the same kind.</dd>
<dt>writer</dt><dd>How the program writes the message to its socket: all at once, in blocks, line by line, or with its header apart.</dd>
<dt>path</dt><dd>How the network between sender and capture changed the writes: full segments, small segments, segments of changing size, or loss.</dd>
<dt>confidence</dt><dd>How sure the pattern is, from 0 to 1. Evidence that is missing lowers it.</dd>
<dt>score</dt><dd>The sum of the configured weights of everything that was found. A higher score is worse; 0 says nothing about the sender.</dd>
<dt>mss</dt><dd>The payload of a full segment on this path, in bytes.</dd>
<dt>EHLO name</dt><dd>The name by which the client called itself. It is not verified.</dd>
</dl>
<h3>In the pictures</h3>
)";

// Keeps the messages' sections until they are printed, in a temporary file without a name. The
// system removes it when the program ends.
class Spool {
 public:
  struct Place {
    long begin = 0;
    std::size_t size = 0;
  };

  Spool() : file_(std::tmpfile()) {
    if (!file_) fail("it cannot be created");
  }

  Place add(std::string_view text) {
    const Place place{size_, text.size()};
    if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) {
      fail("it cannot be written");
    }
    size_ += static_cast<long>(text.size());
    return place;
  }

  std::string take(const Place& place) {
    std::string text(place.size, '\0');
    if (std::fseek(file_.get(), place.begin, SEEK_SET) != 0 ||
        std::fread(text.data(), 1, text.size(), file_.get()) != text.size()) {
      fail("it cannot be read");
    }
    return text;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  [[noreturn]] static void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(),
                            fmt::format("the temporary file of the page's messages: {}", what));
  }

  std::unique_ptr<std::FILE, Close> file_;
  long size_ = 0;
};

// A message's row of the overview.
struct Row {
  std::uint64_t number = 0;
  std::uint64_t time_ns = 0;
  net::Endpoint client;
  std::string from;  // messages are grouped by this: the client's address, else the file's name
  std::string helo;
  classifier::Pattern pattern = classifier::Pattern::Unobserved;
  double confidence = 0;
  double score = 0;
  std::string picture;
  Spool::Place section;
};

bool comes_first(const Row& a, const Row& b, SortBy sort) {
  switch (sort) {
    case SortBy::Capture:
      return a.number < b.number;
    case SortBy::Time:
      return a.time_ns < b.time_ns;
    case SortBy::Score:
      return a.score > b.score;
    case SortBy::Pattern:
      return classifier::name(a.pattern) < classifier::name(b.pattern);
    case SortBy::Client:
      return std::tie(a.from, a.client) < std::tie(b.from, b.client);
  }
  return false;
}

std::string_view sorted_by(SortBy sort) {
  switch (sort) {
    case SortBy::Capture:
      return "in the order in which they ended";
    case SortBy::Time:
      return "by time";
    case SortBy::Score:
      return "by score, the highest first";
    case SortBy::Pattern:
      return "by pattern";
    case SortBy::Client:
      return "by client";
  }
  return "";
}

std::string facts(const Result& result) {
  const auto& verdict = result.verdict;
  std::string text = "<dl class=\"facts\">";
  const auto item = [&](std::string_view key, std::string_view value) {
    text += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", key, foreign(value));
  };
  item("file", result.file);
  item("message", fmt::format("{} of its session", result.message));
  if (result.client.port() != 0) item("from", result.client.print());
  if (result.server.port() != 0) item("to", result.server.print());
  if (!result.helo.empty()) item("EHLO name", result.helo);
  item("writer", classifier::name(verdict.writer));
  if (verdict.block != 0) item("block", fmt::format("{}", verdict.block));
  item("path", classifier::name(verdict.path));
  if (verdict.mss != 0) item("mss", fmt::format("{}", verdict.mss));
  item("confidence", fmt::format("{:.2f}", verdict.confidence));
  item("score", fmt::format("{:+.1f}", verdict.score));
  if (result.decision.would != classifier::Action::None)
    item("would", classifier::name(result.decision.would));
  item("gait", verdict.gait);
  if (const auto kind = verdict.unnamed_class()) item("class", classifier::name(*kind));
  item("bytes", fmt::format("{}", result.trace.size));
  if (result.trace.tls) item("tls", "yes");
  if (result.trace.transfer == classifier::Transfer::Bdat) item("transfer", "BDAT");
  return text + "</dl>\n";
}

std::string section(const Result& result) {
  std::string text = fmt::format(
      "<section class=\"message\" id=\"m{0}\"><h3>Message {0}: {1}</h3>\n<p>{2}{3}{4}: {5}</p>\n",
      result.number, named(result.verdict.pattern),
      result.time_ns == 0 ? "" : rfc3339::print_time(result.time_ns) + ", ",
      fmt::format("{} bytes", result.trace.size), result.trace.tls ? ", under TLS" : "",
      in_words(result.verdict.pattern));
  text += facts(result);
  text += picture(result.trace, result.verdict);
  if (!result.trace.segments.empty()) {
    text += fmt::format("<p class=\"soft\">segments {}</p>\n",
                        escape(classifier::print_sizes(result.trace, kRuns)));
  }
  text += "<ul>";
  for (const auto& reason : result.verdict.reasons.sentences()) {
    text += fmt::format("<li>{}</li>", escape(reason));
  }
  text += "</ul>\n";
  return text +
         fmt::format("<details><summary>trace</summary><code>{}</code></details></section>\n",
                     escape(classifier::print(result.trace)));
}

class HtmlReport final : public Report {
 public:
  HtmlReport(std::FILE* out, SortBy sort) : out_(out), sort_(sort) {}

  void message(const Result& result) override {
    ++patterns_[result.verdict.pattern];
    if (++messages_ > kMaxMessages) return;
    rows_.push_back(
        {.number = result.number,
         .time_ns = result.time_ns,
         .client = result.client,
         .from = result.client.port() != 0 ? result.client.print_address() : result.file,
         .helo = result.helo,
         .pattern = result.verdict.pattern,
         .confidence = result.verdict.confidence,
         .score = result.verdict.score,
         .picture = mini_picture(result.trace, result.verdict),
         .section = sections_.add(section(result))});
  }

  void end() override {
    print(page_begin("segmilter classify"));
    print("<h1>How these messages were sent</h1>\n");
    patterns();
    if (!rows_.empty()) {
      overview();
      groups();
    }
    print(kTerms);
    print(picture_legend());
    print(kPageEnd);
  }

 private:
  void print(std::string_view text) { fmt::print(out_, "{}", text); }

  void patterns() {
    print(fmt::format("<p>{} message{}. <a href=\"#terms\">What the words mean</a></p>\n",
                      messages_, messages_ == 1 ? "" : "s"));
    if (patterns_.empty()) return;
    print(
        "<table><caption>Patterns</caption><thead><tr><th scope=\"col\">pattern</th><th "
        "scope=\"col\" class=\"number\">messages</th><th scope=\"col\">in words</th></tr></thead>"
        "<tbody>\n");
    for (const auto& [pattern, count] : patterns_) {
      print(
          fmt::format("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td></tr>\n",
                      named(pattern), count, in_words(pattern)));
    }
    print("</tbody></table>\n");
    if (messages_ <= kMaxMessages) return;
    print(
        fmt::format("<p>This page shows the first {} of {} messages. <code>--format jsonl</code> "
                    "prints all of them.</p>\n",
                    kMaxMessages, messages_));
  }

  void overview() {
    std::vector<const Row*> order;
    for (const Row& row : rows_) order.push_back(&row);
    std::stable_sort(order.begin(), order.end(),
                     [this](const Row* a, const Row* b) { return comes_first(*a, *b, sort_); });
    print("<h2 id=\"overview\">Overview</h2>\n");
    page::Table table(
        fmt::format("Messages, {}; <code>--sort</code> chooses another order", sorted_by(sort_)),
        {{"message"},
         {"time"},
         {"client"},
         {"EHLO name"},
         {"pattern"},
         {"score"},
         {"segments and writes"}});
    for (const Row* row : order) add_to(table, *row);
    print(table.take());
  }

  static void add_to(page::Table& table, const Row& row) {
    table.add({fmt::format("<a class=\"whole\" href=\"#m{0}\">message {0}</a>", row.number),
               row.time_ns == 0 ? "not known" : page::time_element(rfc3339::print_time(row.time_ns)),
               row.client.port() == 0 ? "not known" : foreign(row.client.print()),
               row.helo.empty() ? "not known" : foreign(row.helo),
               fmt::format("{}: {}; confidence {:.2f}", named(row.pattern), in_words(row.pattern),
                           row.confidence),
               fmt::format("{:+.1f}", row.score), row.picture});
  }

  // The messages by client, in the order in which the clients were first seen.
  void groups() {
    std::map<std::string_view, std::vector<const Row*>> by_client;
    std::vector<std::string_view> order;
    for (const Row& row : rows_) {
      auto& group = by_client[row.from];
      if (group.empty()) order.push_back(row.from);
      group.push_back(&row);
    }
    for (const std::string_view from : order) {
      const auto& group = by_client[from];
      const bool known = group.front()->client.port() != 0;
      print(fmt::format("<h2>{} {}: {} message{}</h2>\n", known ? "Client" : "Traces of",
                        foreign(from), group.size(), group.size() == 1 ? "" : "s"));
      for (const Row* row : group) print(sections_.take(row->section));
    }
  }

  std::FILE* out_;
  const SortBy sort_;
  Spool sections_;
  std::vector<Row> rows_;
  std::uint64_t messages_ = 0;
  std::map<classifier::Pattern, std::uint64_t> patterns_;
};

}  // namespace

std::unique_ptr<Report> html_report(std::FILE* out, SortBy sort) {
  return std::make_unique<HtmlReport>(out, sort);
}

}  // namespace offline
