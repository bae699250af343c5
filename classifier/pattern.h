// The names of the talk's patterns, and of the two axes from which they are made. Each has one
// table of names. Code compares the enums, never the names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "classifier/enum_names.h"

namespace classifier {

// The order is that in which the patterns are tried: the first that holds is the message's pattern.
// classifier/README.md says what each one means.
enum class Pattern : std::uint8_t {
  Unobserved,
  Indistinct,
  BotTemplate,
  BotHeadersApart,
  Mobile,
  GarageServer,
  Relay,
  KilobyteBlocks,
  LineWriter,
  OfficialMta,
  Noisy,
};
inline constexpr int kPatterns = enumerators<Pattern>();
// In the order of the enum. Header, log, metrics and configuration use these words, so they never
// change.
inline constexpr auto kPatternNames = std::to_array<std::string_view>({
    "unobserved",
    "indistinct",
    "bot-template",
    "bot-headers-apart",
    "mobile",
    "garage-server",
    "relay",
    "kilobyte-blocks",
    "line-writer",
    "official-mta",
    "noisy",
});

// How the program writes.
enum class Writer : std::uint8_t {
  Unknown,
  Stream,         // one write, or blocks that are whole segments
  Blocks,         // fixed blocks that are not whole segments; the block size goes with it
  Lines,          // a write per line (or header); Nagle joins them after the first
  ReceivedFirst,  // the first Received field alone, then the rest in bulk
  HeadersApart,   // all header fields in one write, with or without the blank line
  Template,       // boundaries inside a header line, not on a buffer's grid
};
inline constexpr int kWriters = enumerators<Writer>();

// How the path changed the segments.
enum class PathShape : std::uint8_t {
  Unknown,
  Full,         // uniform full segments of an ordinary MSS
  Small,        // uniform full segments, MSS at most 1000
  Fluctuating,  // the full size moves between a large and a small MSS
  Noisy,        // loss or repair hides the boundaries
};
inline constexpr int kPathShapes = enumerators<PathShape>();

std::string_view name(Pattern pattern);
std::string_view name(Writer writer);
std::string_view name(PathShape path);
std::optional<Pattern> pattern_named(std::string_view text);
std::optional<Writer> writer_named(std::string_view text);
std::optional<PathShape> path_named(std::string_view text);

}  // namespace classifier
