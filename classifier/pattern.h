// The names: patterns of the talk, and the two axes they are made from.
// One table of names each; nobody compares them as strings.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "classifier/enum_names.h"

namespace classifier {

// In the order in which they are tried: the first that holds is the message's pattern. What each
// one means is in classifier/README.md.
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
// By enumerator; header, log, metrics and configuration use these words, so they never change.
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
  Lines,          // a write a line (or a header), joined by Nagle behind the first
  ReceivedFirst,  // the first Received field alone, then in bulk
  HeadersApart,   // all header fields (with or without the blank line) in a write of their own
  Template,       // boundaries inside a header line, off any block grid
};
inline constexpr int kWriters = enumerators<Writer>();

// What the network made of it.
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
