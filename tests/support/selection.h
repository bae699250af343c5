// The selection that a user's keys and values stand for; `since` counts back from kNoon.
#pragma once

#include <catch2/catch.hpp>
#include <variant>

#include "milter/history/selection.h"
#include "tests/support/sightings.h"

namespace history {

inline Selection selection(const Pairs& pairs) {
  const auto read = parse(pairs, memory::at_ms(memory::kNoon));
  if (const auto* error = std::get_if<SelectionError>(&read)) FAIL(error->message);
  return std::get<Selection>(read);
}

}  // namespace history
