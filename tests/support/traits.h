// The traits of a message whose trace is given in the notation.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <variant>

#include "classifier/features.h"
#include "classifier/trace_text.h"
#include "classifier/traits.h"
#include "classifier/writes.h"

namespace classifier {

// `fields`: the text after "segmilter/1 ".
inline Traits traits_of(const std::string& fields) {
  const auto result = parse_trace("segmilter/1 " + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  const Trace& trace = std::get<Trace>(result);
  Writes writes;
  Features features;
  recover_writes(trace, writes);
  extract(trace, writes, features);
  return observe(trace, writes, features);
}

}  // namespace classifier
