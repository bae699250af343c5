// Lines of the service's log in which a trace stands (milter/filter/message_log.cc writes them), so
// that a message that was logged can be judged again. Every form in which they reach a file:
//
//     2026-11-27T07:00:00.123Z segmilter/filter[71] debug: 4AbC: trace client=… helo=… trace=…
//     Nov 27 07:00:00 mx1 segmilter/filter[71]: 4AbC: trace …         syslog, journalctl
//     2026-11-27T08:00:00.123456+01:00 mx1 segmilter/filter[71]: …     syslog, journalctl -o
//     short-iso Nov 27 07:00:00 mx1 segmilter[70]: 2026-11-27T07:00:00.123Z segmilter/filter[71]
//     debug: … 4AbC: trace …                                                    journalctl -o cat
//     {"time":"…","event":"trace","client":"…","helo":"…","trace":"…"}   log.format = "json", alone
//     or
//                                                                      behind one of those prefixes
//
// Logs of mail quote what strangers said: a line counts only where segmilter's own name stands in
// its prefix, and only the value that the line's own keys name. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace offline {

struct LogLine {
  std::string trace;          // in the notation of trace_text.h; empty: the line has none
  std::uint64_t time_ns = 0;  // since 1970; 0: not told, or without the year
  net::Endpoint client;       // all zero: not told
  std::string helo;           // any bytes
};

// nullopt: no line of segmilter's.
std::optional<LogLine> read_log_line(std::string_view line);

}  // namespace offline
