// One message as it is remembered: the columns of a row of the store (memory/day_file.h) with its
// words. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "milter/memory/day.h"
#include "milter/memory/sighting.h"

namespace history {

// The place of a row in the order of the history, which is newest first. It stays the row's place
// while other rows are written and removed.
struct Cursor {
  memory::Time time;
  int source = 0;       // 0: the day's file; else the schema of a file of another version
  std::int64_t id = 0;  // in that file
  auto operator<=>(const Cursor&) const = default;
};
std::string print(const Cursor& cursor);  // "1795780800000-0-17"
std::optional<Cursor> parse_cursor(std::string_view text);

struct Row {
  Cursor at;
  std::int64_t weight = 1;  // the number of messages like this one for which this row stands
  // Empty after some days, or because of memory.addresses (memory/address_form.h).
  std::string queue_id, address, network;
  std::optional<std::uint16_t> port;
  memory::HeloShape helo;
  bool tls = false;
  double score = 0;
  double confidence = 0;
  std::uint64_t size = 0;   // bytes
  std::uint32_t block = 0;  // write size of a program that writes blocks; 0: none
  std::uint32_t mss = 0;    // 0: unknown
  std::string terms;        // of the score: "bot-template:+3.9,contradiction(exim):+3"
  std::string syn, ja4;     // fingerprints
  std::string listener, pattern, writer, path, gait, gait_class;
  std::string would, action, held, basis, via, state, reason;
  std::string trace;  // its text form; empty: it was not asked for, or cannot be unpacked

  memory::Time time() const { return at.time; }
  // The class that is shown in the place of a program's name.
  std::string_view unnamed_class() const {
    return gait == "unknown" ? std::string_view(gait_class) : std::string_view();
  }
};

}  // namespace history
