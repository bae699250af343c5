// What the filter counts. libmilter's threads write, any process may read.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

#include "classifier/pattern.h"
#include "milter/policy_service/counters.h"
#include "milter/process/metrics.h"

namespace filter {

struct Counters {
  process::Count messages{0};
  process::Count exempt{0};  // not counted in any of the following
  process::Count unobserved{0};
  process::Count failed{0};
  std::array<process::Count, classifier::kPatterns> pattern{};
  process::Count tempfail{0};
  process::Count quarantine{0};
  process::Count reject{0};
  process::Count held_monitor{0};  // not carried out, or a milder action was
  process::Count held_percent{0};
  process::Count held_breaker{0};
  process::Count breaker_open{0};  // 0 or 1
  process::Count breaker_trips{0};
  process::Count forged{0};
  process::Count flooded{0};
  process::Count sealed{0};
  process::Count seal_refused{0};
  process::Count callback_failures{0};
  policy_service::Counters policy_service;
  // Answers at the end of a message, by the first of kWithin in which they were given; the last
  // one: later.
  static constexpr std::array<unsigned, 9> kWithin{1, 2, 5, 10, 20, 50, 100, 1000, 5000};  // ms
  std::array<process::Count, kWithin.size() + 1> answered{};

  void count_answer(std::chrono::steady_clock::duration took) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(took).count();
    const auto bin = std::lower_bound(kWithin.begin(), kWithin.end(), ms) - kWithin.begin();
    ++answered[static_cast<std::size_t>(bin)];
  }
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  process::Family patterns{"patterns_total", "Messages that were not exempt.", "pattern", {}};
  for (std::size_t i = 0; i < counts.pattern.size(); ++i) {
    patterns.samples.push_back({&counts.pattern[i], name(static_cast<classifier::Pattern>(i))});
  }
  // Literals, because a description lives as long as the counters.
  constexpr std::array<std::string_view, Counters::kWithin.size() + 1> kNames{
      "1ms", "2ms", "5ms", "10ms", "20ms", "50ms", "100ms", "1s", "5s", "more"};
  process::Family answers{"answers_total",
                          "Answers to Postfix at the end of a message, by the time they took.",
                          "within",
                          {}};
  for (std::size_t i = 0; i < counts.answered.size(); ++i) {
    answers.samples.push_back({&counts.answered[i], kNames[i]});
  }
  return {
      answers,
      family("messages_total", counts.messages, "Messages that Postfix asked about.", "messages"),
      family("messages_exempt_total", counts.exempt,
             "Messages that Postfix asked about and that were not judged ([exempt]).", "exempt"),
      family("messages_unobserved_total", counts.unobserved,
             "Messages that were judged without evidence.", "unobserved"),
      family("messages_failed_total", counts.failed,
             "Messages whose evidence did not come in time, or whose classification failed.",
             "failed"),
      patterns,
      {"actions_total",
       "Actions that were taken.",
       "action",
       {{&counts.tempfail, "tempfail", "tempfail"},
        {&counts.quarantine, "quarantine", "quarantine"},
        {&counts.reject, "reject", "reject"}}},
      {"actions_held_total",
       "Messages whose score asked for a stronger action than was taken, by what held it back.",
       "by",
       {{&counts.held_monitor, "monitor", "held_monitor"},
        {&counts.held_percent, "percent", "held_percent"},
        {&counts.held_breaker, "breaker", "held_breaker"}}},
      family("breaker_open", counts.breaker_open,
             "1: the circuit breaker is open: rejections and deferrals are suspended, because "
             "there were suddenly many."),
      family("breaker_trips_total", counts.breaker_trips, "How often the circuit breaker opened.",
             "breaker_trips"),
      family("headers_forged_total", counts.forged, "Forged header fields that were deleted.",
             "forged"),
      family("headers_flood_refused_total", counts.flooded,
             "Messages refused because they had more forged header fields than can be deleted.",
             "flooded"),
      family("headers_sealed_total", counts.sealed,
             "Messages with a header field of another host whose seal was good.", "sealed"),
      family("headers_seal_refused_total", counts.seal_refused,
             "Messages of relays in seal.believe_from without a good seal.", "seal_refused"),
      family("callback_failures_total", counts.callback_failures,
             "Messages let through unlabelled because of an error in the filter."),
  };
}

}  // namespace filter
