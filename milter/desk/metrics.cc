#include "milter/desk/metrics.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "classifier/pattern.h"

namespace desk {
namespace {

constexpr std::string_view kCounter = "counter";
constexpr std::string_view kGauge = "gauge";

// Label values are words of ours, so there is nothing in them to be escaped.
struct Sample {
  std::string_view value;  // of the family's label
  std::uint64_t number;
};

class Page {
 public:
  void family(std::string_view type, std::string_view name, std::string_view label,
              const std::vector<Sample>& samples, std::string_view help) {
    begin(type, name, help);
    for (const auto& [value, number] : samples) {
      text_ += fmt::format("segmilter_{}{{{}=\"{}\"}} {}\n", name, label, value, number);
    }
  }

  void one(std::string_view type, std::string_view name, std::uint64_t number,
           std::string_view help) {
    begin(type, name, help);
    text_ += fmt::format("segmilter_{} {}\n", name, number);
  }

  std::string take() { return std::move(text_); }

 private:
  void begin(std::string_view type, std::string_view name, std::string_view help) {
    text_ += fmt::format("# HELP segmilter_{0} {1}\n# TYPE segmilter_{0} {2}\n", name, help, type);
  }

  std::string text_;
};

void add_program(Page& page, const supervisor::Counters& counts, const config::Config& config) {
  std::vector<std::pair<std::string_view, const supervisor::Life&>> children;
  if (!config.proxy.listen.empty()) children.emplace_back("proxy", counts.proxy);
  if (!config.wire.ports.empty()) children.emplace_back("wire", counts.wire);
  children.emplace_back("filter", counts.filter);
  children.emplace_back("desk", counts.desk);
  std::vector<Sample> serving;
  std::vector<Sample> starts;
  for (const auto& [name, life] : children) {
    serving.push_back({name, life.serves ? 1U : 0U});
    starts.push_back({name, life.starts});
  }
  page.family(kGauge, "build_info", "version", {{SEGMILTER_VERSION, 1}}, "The version that runs.");
  page.one(kGauge, "start_time_seconds", static_cast<std::uint64_t>(counts.began.load()),
           "When the program started, in seconds since 1970; all counters began then.");
  page.family(kGauge, "process_serving", "process", serving, "1: it serves; 0: it is away.");
  page.family(kCounter, "process_starts_total", "process", starts,
              "Starts; above 1 it has died or was killed for its silence.");
  page.family(kCounter, "reloads_total", "result",
              {{"done", counts.reloads}, {"refused", counts.reloads_refused}},
              "Configurations read again; refused: it has an error, and the old one stays.");
}

void add_evidence(Page& page, const evidence::Counters& counts) {
  page.one(kGauge, "evidence_sessions", counts.sessions,
           "Sessions with evidence, open and lingering (evidence.max_sessions).");
  page.one(kGauge, "evidence_bytes", counts.bytes,
           "Memory that the evidence takes (evidence.max_bytes).");
  page.one(kCounter, "evidence_refused_total", counts.refused,
           "Messages without evidence because the table was full.");
}

void add_proxy(Page& page, const proxy::Counters& counts) {
  page.one(kGauge, "proxy_sessions", counts.sessions, "Sessions at the moment.");
  page.one(kCounter, "proxy_connections_total", counts.accepted, "Connections that came in.");
  page.family(kCounter, "proxy_refused_total", "limit",
              {{"max_sessions", counts.refused_full},
               {"max_sessions_per_address", counts.refused_address},
               {"max_sessions_per_network", counts.refused_network},
               {"max_rate_per_address", counts.refused_rate}},
              "Clients told 421, by the limit they met.");
  page.one(kCounter, "proxy_introductions_refused_total", counts.introductions_refused,
           "Connections of balancers that were closed for want of a good PROXY header.");
  page.one(kCounter, "proxy_upstream_failures_total", counts.upstream_failed,
           "Clients told 421 because Postfix did not answer.");
  page.one(kCounter, "proxy_unanswered_total", counts.unanswered,
           "Sessions closed because Postfix said nothing for proxy.answer_timeout.");
  page.one(kCounter, "proxy_accept_errors_total", counts.accept_errors,
           "Failures to accept, for lack of descriptors or memory.");
  page.one(kCounter, "proxy_drained_total", counts.drained,
           "Sessions ended between two transactions, for a restart.");
  page.one(kCounter, "proxy_traces_total", counts.messages,
           "Messages seen; those under TLS are not among them.");
  page.one(kCounter, "proxy_traces_partial_total", counts.partial,
           "Of these, not seen from beginning to end.");
  page.one(kCounter, "proxy_sessions_lost_total", counts.lost,
           "Sessions that could not be followed to their end.");
  page.one(kCounter, "proxy_ring_full_total", counts.ring_full,
           "Segments that found the ring full (capture.ring_bytes).");
  page.family(kCounter, "proxy_overload_total", "short_of",
              {{"descriptors", counts.overload_descriptors},
               {"time", counts.overload_time},
               {"memory", counts.overload_memory}},
              "Sessions relayed without being observed, by what was short.");
  add_evidence(page, counts.evidence);
}

void add_wire(Page& page, const wire::Counters& counts) {
  page.one(kCounter, "wire_connections_total", counts.connections, "Connections seen.");
  page.one(kCounter, "wire_traces_total", counts.messages,
           "Messages seen; those under TLS are not among them.");
  page.one(kCounter, "wire_sessions_lost_total", counts.lost,
           "Connections that could not be followed to their end.");
  page.one(kCounter, "wire_evicted_total", counts.evicted,
           "Connections no longer followed for lack of room (wire.max_sessions).");
  page.one(kCounter, "wire_overload_total", counts.overload,
           "Connections not followed for lack of memory (evidence.max_bytes).");
  page.one(kCounter, "wire_ring_full_total", counts.ring_full,
           "Packets that found the ring full (capture.ring_bytes).");
  page.one(kCounter, "wire_late_total", counts.late,
           "Questions not answered because a processor had not finished an event in the ring.");
  add_evidence(page, counts.evidence);
}

void add_filter(Page& page, const filter::Counters& counts) {
  page.one(kCounter, "messages_total", counts.messages, "Messages that Postfix asked about.");
  page.one(kCounter, "messages_exempt_total", counts.exempt, "Of these, not judged ([exempt]).");
  page.one(kCounter, "messages_unobserved_total", counts.unobserved,
           "Of these, judged without evidence.");
  page.one(kCounter, "messages_failed_total", counts.failed,
           "Of these, evidence was not got in time or judging failed.");
  std::vector<Sample> patterns;
  for (std::size_t i = 0; i < counts.pattern.size(); ++i) {
    patterns.push_back({name(static_cast<classifier::Pattern>(i)), counts.pattern[i]});
  }
  page.family(kCounter, "patterns_total", "pattern", patterns, "Messages that are not exempt.");
  page.family(
      kCounter, "actions_total", "action",
      {{"tempfail", counts.tempfail}, {"quarantine", counts.quarantine}, {"reject", counts.reject}},
      "What was done.");
  page.family(kCounter, "actions_held_total", "by",
              {{"monitor", counts.held_monitor},
               {"percent", counts.held_percent},
               {"breaker", counts.held_breaker}},
              "Messages whose score asked for more than was done, by what held it back.");
  page.one(kGauge, "breaker_open", counts.breaker_open ? 1 : 0,
           "1: rejects and deferrals are suspended, because they were suddenly many.");
  page.one(kCounter, "breaker_trips_total", counts.breaker_trips, "How often it opened.");
  page.one(kCounter, "headers_forged_total", counts.forged,
           "Headers of our name from outside that were deleted.");
  page.one(kCounter, "headers_flood_refused_total", counts.flooded,
           "Messages refused because they brought more of them than can be deleted.");
  page.one(kCounter, "headers_sealed_total", counts.sealed,
           "Messages with a header that another host had sealed, and that was believed.");
  page.one(kCounter, "headers_seal_refused_total", counts.seal_refused,
           "Messages of relays that are believed, without a good seal.");
  page.one(kCounter, "callback_failures_total", counts.callback_failures,
           "Messages let through unlabelled because of an error in the filter.");
}

}  // namespace

std::string metrics(const Counts& counts, const config::Config& config) {
  Page page;
  add_program(page, counts.supervisor, config);
  if (!config.proxy.listen.empty()) add_proxy(page, counts.proxy);
  if (!config.wire.ports.empty()) add_wire(page, counts.wire);
  add_filter(page, counts.filter);
  return page.take();
}

}  // namespace desk
