// Whether the set-up is healthy: what is observed and what is not, what was lost, how fast the
// filter answers, and what the store has.
#include <fmt/format.h>

#include <algorithm>

#include "milter/config/checks.h"
#include "milter/desk/numbers.h"
#include "milter/desk/views.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using page::escape;
using Mode = config::Enforcement::Mode;

// The page reports a problem if this share of the last hour's messages is unobserved. Chosen:
// exempt mail and odd clients make a few per cent.
constexpr double kUnobserved = 0.2;
constexpr std::uint64_t kFewMessages = 20;  // of fewer no share is judged

struct Count {
  const char* family;
  const char* what;
};

std::string counts(const char* caption, std::initializer_list<Count> rows, const Context& context) {
  page::Table table(caption, {{"what"}, {"number", true}});
  bool is_empty = true;
  for (const auto& [family, what] : rows) {
    const auto n = value(context.families, family);
    if (!n) continue;
    is_empty = false;
    table.add({what, number(*n)});
  }
  return is_empty ? std::string() : table.take();
}

std::string since(const Context& context) {
  const auto began = value(context.families, "start_time_seconds").value_or(0);
  if (began == 0) return "";
  return time(Time(std::chrono::seconds(began)));
}

std::string capture(const config::Config& config) {
  if (!config.wire.ports.empty())
    return "wire: the packets are watched, beside the path of the mail";
  if (config.proxy.listen.empty()) return "none: nothing is observed";
  using Method = config::Capture::Method;
  switch (config.capture.method) {
    case Method::Auto:
      return "proxy, kernel filter where it can be loaded (method auto)";
    case Method::Kernel:
      return "proxy, kernel filter (method kernel)";
    case Method::Read:
      return "proxy, reads only (method read)";
    case Method::Off:
      return "none: capture.method is off";
  }
  return "";
}

std::string limits(const Context& context) {
  page::Table table("Tables and buffers",
                    {{"what"}, {"used", true}, {"limit", true}, {"full", true}});
  const auto row = [&](const char* family, const char* what, std::uint64_t limit) {
    const auto n = value(context.families, family);
    if (n) table.add({what, number(*n), number(limit), per_cent(*n, limit)});
  };
  const auto& config = context.config;
  row("proxy_sessions", "sessions of the proxy", config.proxy.max_sessions);
  row("evidence_sessions", "sessions with evidence", config.evidence.max_sessions);
  row("evidence_bytes", "bytes of evidence", config.evidence.max_bytes);
  row("memory_bytes", "bytes of the store", config.memory.max_bytes);
  row("memory_days", "days of the store", config.memory.max_days);
  return table.take();
}

std::string processes(const Context& context) {
  const auto* serving = find(context.families, "process_serving");
  if (serving == nullptr) return "";
  page::Table table("Processes", {{"process"}, {"serves"}, {"starts", true}});
  for (const auto& sample : serving->samples) {
    const bool serves = sample.count->load() != 0;
    table.add({escape(sample.value),
               serves ? "<span class=\"good\">yes</span>" : "<strong class=\"bad\">no</strong>",
               number(value(context.families, "process_starts_total", sample.value).value_or(0))});
  }
  return table.take();
}

std::string filter_speed(const Context& context) {
  const auto [answers, p50, p99] = latency(context.families);
  if (answers == 0) return "<p>The filter has answered no message yet.</p>\n";
  const auto within = [](const std::optional<std::string_view>& name) {
    return !name ? std::string("-") : *name == "more" ? "more than 5s" : escape(*name);
  };
  return facts({{"messages answered", number(answers)},
                {"half of them within", within(p50)},
                {"99 of 100 within", within(p99)}});
}

std::string unobserved(const Overview& overview) {
  if (overview.unobserved.empty())
    return "<p>No message of the last 48 hours was unobserved.</p>\n";
  page::Table table("Unobserved messages of the last 48 hours, by reason",
                    {{"reason"}, {"messages", true}, {"share of all", true}});
  for (const auto& [reason, messages] : overview.unobserved) {
    if (reason == "none") continue;
    table.add({link_messages({{"reason", reason}}, page::foreign(reason)), number(messages),
               per_cent(messages, overview.all.messages)});
  }
  return table.take();
}

std::uint64_t in_last_hour(const Overview& overview, std::optional<classifier::Pattern> pattern) {
  constexpr std::size_t kHour = std::chrono::hours(1) / Overview::kBin;
  std::uint64_t messages = 0;
  for (std::size_t bin = Overview::kBins - kHour; bin < Overview::kBins; ++bin) {
    for (std::size_t i = 0; i < classifier::kPatterns; ++i) {
      if (!pattern || static_cast<std::size_t>(*pattern) == i) messages += overview.bins[bin][i];
    }
  }
  return messages;
}

void complain_of_counts(const Context& context, std::vector<std::string>& all) {
  const auto positive = [&context](const char* family, std::string_view label = {}) {
    return value(context.families, family, label).value_or(0) > 0;
  };
  if (const auto* serving = find(context.families, "process_serving")) {
    for (const auto& sample : serving->samples) {
      if (sample.count->load() == 0)
        all.push_back(fmt::format("The {} does not run, or is not ready.", sample.value));
    }
  }
  if (positive("breaker_open")) {
    all.emplace_back(
        "The circuit breaker is open: refusals are suspended, because there were suddenly "
        "many.");
  }
  if (positive("memory_dropped_total", "disk") || positive("memory_dropped_total", "limit")) {
    all.emplace_back(
        "Messages were not remembered, because the disk was full or a limit of [memory] "
        "was reached.");
  }
  if (positive("memory_files_corrupt_total")) {
    all.emplace_back("A damaged file of the store was moved aside.");
  }
  if (positive("evidence_refused_total")) {
    all.emplace_back("The table of evidence was full, so some messages had no evidence.");
  }
}

std::string lost(const Context& context) {
  return counts(
      "What was lost since the start",
      {{"proxy_ring_full_total", "segments that found the ring full"},
       {"wire_ring_full_total", "packets that found the ring full"},
       {"proxy_sessions_lost_total", "sessions that could not be followed to their end"},
       {"wire_sessions_lost_total", "connections that could not be followed to their end"},
       {"proxy_overload_total", "sessions not observed, for lack of descriptors, memory or time"},
       {"wire_overload_total", "connections not followed, for lack of memory"},
       {"evidence_refused_total", "messages without evidence: the table was full"},
       {"memory_dropped_total", "messages that were not remembered"},
       {"messages_failed_total", "messages whose evidence did not come in time"},
       {"callback_failures_total", "messages without a label, because of an error in the filter"}},
      context);
}

}  // namespace

std::vector<std::string> complaints(const Overview* overview, const Context& context) {
  std::vector<std::string> all;
  if (const auto why = config::why_unobserved(context.config); !why.empty()) {
    all.emplace_back("Nothing is observed: the configuration names no port to watch.");
  }
  complain_of_counts(context, all);
  if (overview == nullptr) return all;
  const auto messages = in_last_hour(*overview, std::nullopt);
  const auto without = in_last_hour(*overview, classifier::Pattern::Unobserved);
  if (messages >= kFewMessages &&
      static_cast<double>(without) > kUnobserved * static_cast<double>(messages)) {
    all.push_back(
        fmt::format("{} of {} messages of the last hour were unobserved.", without, messages));
  }
  return all;
}

std::string view_health(const Overview* overview, const std::string& why, const Context& context) {
  const auto& config = context.config;
  std::string html;
  const auto bad = complaints(overview, context);
  for (const auto& one : bad) html += fmt::format("<p class=\"note bad\">{}</p>\n", escape(one));
  if (!why.empty()) html += fmt::format("<p class=\"note bad\">{}</p>\n", page::foreign(why));
  if (bad.empty() && why.empty()) html += health_line(overview, context);
  html += facts({{"version", SEGMILTER_VERSION},
                 {"counters began", since(context)},
                 {"mode", config.enforcement.mode == Mode::Enforce ? "enforce" : "monitor"},
                 {"capture", capture(config)},
                 {"reloads", number(value(context.families, "reloads_total", "done").value_or(0))},
                 {"reloads refused",
                  number(value(context.families, "reloads_total", "refused").value_or(0))}});
  html +=
      "<p><kbd>segmilter doctor</kbd> examines the whole set-up and prints a command for each "
      "fault.</p>\n";
  html += "<h2>Processes</h2>\n" + processes(context);
  html += "<h2>How fast the filter answers</h2>\n" + filter_speed(context);
  html += "<h2>What is not observed</h2>\n";
  html += overview != nullptr ? unobserved(*overview) : "<p>The store cannot be read.</p>\n";
  html += "<h2>Tables and losses</h2>\n" + limits(context) + lost(context);
  if (overview != nullptr) html += problems(overview->problems) + age(context);
  return frame({"Health", "/health", html}, context);
}

}  // namespace desk
