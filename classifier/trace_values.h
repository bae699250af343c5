// How each kind of value is written in the text form of a trace: when it is left out, how it is
// printed, and how it is read. The table in trace_text.cc gives each key its kind. Used by
// trace_text only. Pure functions; any thread.
//
// A kind has three functions:
//   differs(value, fresh)  is the value printed? `fresh` is that of a new Trace
//   print(out, value)      prints what follows `key=`
//   read(in, value)        false with an error in the reader: the text is not of this kind
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/enum_names.h"
#include "classifier/trace.h"
#include "classifier/trace_reader.h"

namespace classifier::values {

using Out = std::back_insert_iterator<std::string>;

// The common part of all kinds that are printed if the value differs.
struct Plain {
  template <typename Value>
  static bool differs(const Value& value, const Value& fresh) {
    return !(value == fresh);
  }
};

struct Number : Plain {
  template <typename Value>
  static void print(Out out, Value value) {
    fmt::format_to(out, "{}", std::uint64_t{value});
  }
  template <typename Value>
  static bool read(TraceReader& in, Value& value) {
    return in.number(value);
  }
};

// One of the words of an enum.
template <const auto& kNames>
struct Choice : Plain {
  template <typename Enum>
  static void print(Out out, Enum value) {
    fmt::format_to(out, "{}", word(kNames, value));
  }
  template <typename Enum>
  static bool read(TraceReader& in, Enum& value) {
    return in.choice(kNames, value);
  }
};

struct Flag : Plain {
  static void print(Out out, bool value);
  static bool read(TraceReader& in, bool& value);
};

// Four hex digits of a number that TLS defines. 0000 stands for an absent field.
struct Hex : Plain {
  static void print(Out out, std::uint16_t value);
  static bool read(TraceReader& in, std::uint16_t& value);
};

struct Ja4 : Plain {
  static void print(Out out, const std::string& value);
  static bool read(TraceReader& in, std::string& value);
};

// A signature contains characters from a stranger's packet. Those that are not printable ASCII, or
// that the notation uses itself, are written as %XX.
struct Syn : Plain {
  static void print(Out out, const std::string& value);
  static bool read(TraceReader& in, std::string& value);
};

struct Fields : Plain {
  static void print(Out out, const std::vector<HeaderField>& fields);
  static bool read(TraceReader& in, std::vector<HeaderField>& fields);
};

struct Offsets : Plain {
  static void print(Out out, const std::vector<std::uint32_t>& offsets);
  static bool read(TraceReader& in, std::vector<std::uint32_t>& offsets);
};

// The greeting and the words of dialogue_words.h.
struct Talk {
  static bool differs(const Dialogue& dialogue, const Dialogue& fresh);
  static void print(Out out, const Dialogue& dialogue);
  static bool read(TraceReader& in, Dialogue& dialogue);
};

// Segments or records. Equal ones in a row are printed as one run.
struct Runs : Plain {
  static void print(Out out, const std::vector<Segment>& segments);
  static void print(Out out, const std::vector<Record>& records);
  static bool read(TraceReader& in, std::vector<Segment>& segments);
  static bool read(TraceReader& in, std::vector<Record>& records);
};

}  // namespace classifier::values
