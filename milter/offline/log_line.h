// Reads lines of the service's log that contain a trace (milter/filter/message_log.cc writes them),
// so that a logged message can be judged again. A line can have each of these forms:
//
//   standard error:
//     2026-11-27T07:00:00.123Z segmilter/filter[71] debug: 4AbC: trace client=… helo=… trace=…
//   syslog, journalctl:
//     Nov 27 07:00:00 mx1 segmilter/filter[71]: 4AbC: trace …
//   syslog with RFC 3339 times, journalctl -o short-iso:
//     2026-11-27T08:00:00.123456+01:00 mx1 segmilter/filter[71]: 4AbC: trace …
//   standard error, kept by the journal (journalctl puts a second prefix before it):
//     Nov 27 07:00:00 mx1 segmilter[70]: 2026-11-27T07:00:00.123Z segmilter/filter[71] debug: …
//   journalctl -o cat:
//     4AbC: trace …
//   log.format = "json", alone or after one of the prefixes above:
//     {"time":"…","event":"trace","client":"…","helo":"…","trace":"…"}
//
// Mail logs quote text from strangers, who could write something that looks like a trace. So a line
// counts only if its prefix has segmilter's name, and only values of the line's own keys are used.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace offline {

struct LogLine {
  std::string trace;          // in the notation of trace_text.h; empty: the line has none
  std::uint64_t time_ns = 0;  // since 1970; 0: the line has no time, or one without a year
  net::Endpoint client;       // all zero: the line has no client
  std::string helo;           // any bytes
};

// nullopt: segmilter did not write the line.
std::optional<LogLine> read_log_line(std::string_view line);

}  // namespace offline
