// The one text form of a Trace, used by log, evidence socket, tests and corpora.
// segmilter-trace(5) has the grammar with examples. Reading and printing are exact inverses.
// parse(print(t)) == t for every t within the limits below, with sizes and counts of at least 1.
// print(parse(s)) == s for every s that print() made. Pure functions; safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "classifier/trace.h"

namespace classifier {

// The limits of the reader. The limits of a session are lower (Observer::Limits). These bound the
// memory that a hostile line can make the reader allocate, whatever runs (`1448x60000`) it has.
struct TraceLimits {
  static constexpr std::size_t kSegments = 65536;  // all runs expanded; records likewise
  static constexpr std::size_t kFields = Landmarks::kMaxFields;
  static constexpr std::size_t kOffsets = Trace::kMaxChunks;  // of folds and of chunks
  static constexpr std::size_t kSyn = 512;  // bytes of the SYN signature without escapes
};

// Where and why a line is not a trace. `offset` is the byte in the input.
struct TraceError {
  std::size_t offset = 0;
  std::string message;
};

// One line without a line end, starting with "segmilter/1".
std::string print(const Trace& trace);

// Reads what print() writes. Requires nothing of the text: a value that is too long, out of range
// or repeated gives an error. Never throws on malformed text.
std::variant<Trace, TraceError> parse_trace(std::string_view text);

std::string_view name(Via via);
std::string_view name(State state);
std::string_view name(Reason reason);
std::string_view name(Transfer transfer);
std::string_view name(Window window);
std::optional<Via> via_named(std::string_view text);
std::optional<State> state_named(std::string_view text);
std::optional<Reason> reason_named(std::string_view text);

// "399,29,184,1440x5": payload sizes in stream order. Three or more equal ones in a row become
// SIZExN. At most `max_runs` runs are printed, then ",+N" for the N segments that are left out.
std::string print_sizes(const Trace& trace, std::size_t max_runs);
std::string print_sizes(std::span<const std::uint32_t> sizes, std::size_t max_runs);

}  // namespace classifier
