// The one table of names for patterns and for both axes. Constant data; any thread.
#include "classifier/pattern.h"

#include <array>

namespace classifier {
namespace {

constexpr auto kWriterNames = std::to_array<std::string_view>({
    "unknown",
    "stream",
    "blocks",
    "lines",
    "received-first",
    "headers-apart",
    "template",
});
constexpr auto kPathNames = std::to_array<std::string_view>({
    "unknown",
    "full",
    "small",
    "fluctuating",
    "noisy",
});

}  // namespace

std::string_view name(Pattern pattern) {
  return word(kPatternNames, pattern);
}
std::string_view name(Writer writer) {
  return word(kWriterNames, writer);
}
std::string_view name(PathShape path) {
  return word(kPathNames, path);
}

std::optional<Pattern> pattern_named(std::string_view text) {
  return find<Pattern>(kPatternNames, text);
}
std::optional<Writer> writer_named(std::string_view text) {
  return find<Writer>(kWriterNames, text);
}
std::optional<PathShape> path_named(std::string_view text) {
  return find<PathShape>(kPathNames, text);
}

}  // namespace classifier
