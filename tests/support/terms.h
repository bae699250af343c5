// The terms of a score, by the keys of [weights].
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "classifier/signs.h"

namespace classifier {

inline Term term(std::string_view key, double weight, std::string_view about = {}) {
  const auto sign =
      std::find_if(kSigns.begin(), kSigns.end(), [&](const Sign& s) { return s.key == key; });
  if (sign == kSigns.end()) throw std::invalid_argument("no sign has this key");
  return {&*sign, weight, about};
}

}  // namespace classifier
