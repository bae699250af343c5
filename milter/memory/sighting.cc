#include "milter/memory/sighting.h"

#include <strings.h>

namespace memory {
namespace {

std::string_view without_final_dot(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

HeloShape helo_shape(std::string_view helo, std::string_view confirmed_name) {
  const auto name = without_final_dot(helo);
  const auto confirmed = without_final_dot(confirmed_name);
  const bool literal = name.starts_with('[') && name.ends_with(']');
  return {.literal = literal,
          .dotless = !literal && !name.empty() && name.find('.') == name.npos,
          .confirmed = !confirmed.empty() && same_name(name, confirmed)};
}

}  // namespace memory
