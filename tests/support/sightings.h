// Sightings for tests: a bot from the slides, and as many different ones as a test wants.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/memory/sighting.h"

namespace memory {

inline std::chrono::sys_time<std::chrono::milliseconds> at_ms(std::int64_t ms) {
  return std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(ms));
}

// 2026-11-27 12:00:00.000 UTC.
inline constexpr std::int64_t kNoon = 1'795'780'800'000;

// Judged as the filter does it.
inline Sighting bot_sighting(std::int64_t ms = kNoon, std::string client = "192.0.2.7:40112",
                             std::string queue_id = "4abcDEF") {
  Sighting sighting;
  sighting.time = at_ms(ms);
  sighting.queue_id = std::move(queue_id);
  sighting.client = net::Endpoint::parse(client);
  sighting.listener = "mx";
  sighting.helo = {.dotless = true};
  sighting.trace = std::get<classifier::Trace>(classifier::parse_trace(
      "segmilter/1 mss=1440 syn=4:64:0:1460:*,7:mss,sok,ts,nop,ws:df:0 line1=19 header=610 "
      "body=612 dot=3 fields=19,380,430,480,610 talk=early seg=399p,29p,184pn,1440,1377pn"));
  sighting.verdict = classifier::classify(sighting.trace, {});
  sighting.decision = {.would = classifier::Action::Tempfail, .held = policy::HeldBackBy::Monitor};
  return sighting;
}

// The `index`th of many: another millisecond, address, port and queue id each.
inline Sighting numbered_sighting(std::uint32_t index, std::int64_t from = kNoon) {
  return bot_sighting(from + index,
                      fmt::format("192.{}.{}.{}:{}", index >> 16 & 63, index >> 8 & 255,
                                  index & 255, 1024 + index % 60000),
                      fmt::format("4q{:x}", index));
}

}  // namespace memory
