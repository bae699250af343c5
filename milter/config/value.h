// Converts a TOML value to a setting and back to text. There is a small type for each kind of
// value, with its range. settings.cc names the kind of each setting; no other file uses this
// header.
//
// A kind has Value, read() and print(). read() throws Refused with only the reason; the caller
// knows file, line and key. print() returns TOML that read() accepts.
#pragma once

#include <toml++/toml.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/milter_socket.h"
#include "milter/config/text_checks.h"
#include "milter/net/address.h"

namespace config {

class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::string quoted(std::string_view text);  // a TOML basic string
// Returns the string. Otherwise throws Refused "expected a string such as <example>, got an
// integer".
std::string read_string(const toml::node& node, std::string_view example);

// An array of distinct strings, and as TOML.
std::vector<std::string> read_strings(const toml::node& node, std::string_view example);
std::string print_strings(const std::vector<std::string>& items);

struct Flag {
  using Value = bool;
  bool read(const toml::node& node) const;
  std::string print(bool value) const { return value ? "true" : "false"; }
};

struct Number {
  using Value = std::int64_t;
  std::int64_t min, max;
  std::int64_t read(const toml::node& node) const;
  std::string print(std::int64_t value) const { return std::to_string(value); }
};

struct Real {
  using Value = double;
  double min, max;
  double read(const toml::node& node) const;
  std::string print(double value) const;
};

// A Real, or "off", which is stored as infinity, because no score reaches it.
struct Threshold {
  using Value = double;
  double min, max;
  double read(const toml::node& node) const;
  std::string print(double value) const;
};

// A number of bytes: an integer, or "64K", "1M", "1G" (powers of 1024).
struct Size {
  using Value = std::int64_t;
  std::int64_t min, max;
  bool power_of_two = false;
  std::int64_t read(const toml::node& node) const;
  std::string print(std::int64_t value) const;
};

// Reads "200ms", "10s", "5m", "1h". A number without a unit is refused, because its unit would be a
// guess.
std::chrono::milliseconds read_duration(const toml::node& node, std::chrono::milliseconds min,
                                        std::chrono::milliseconds max);
std::string print_duration(std::chrono::milliseconds value);

template <typename Unit>
struct Duration {
  using Value = Unit;
  Unit min, max;
  Unit read(const toml::node& node) const {
    const auto value = read_duration(node, min, max);
    const auto whole = std::chrono::duration_cast<Unit>(value);
    if (whole != value)
      throw Refused("expected whole seconds, got \"" + print_duration(value) + "\"");
    return whole;
  }
  std::string print(Unit value) const { return quoted(print_duration(value)); }
};

// A file mode, octal, in a string: TOML has no 0660, and 660 would be read as decimal.
struct FileMode {
  using Value = unsigned;
  unsigned read(const toml::node& node) const;
  std::string print(unsigned value) const;
};

// Reads one of `names` and returns its index.
std::size_t read_choice(const toml::node& node, const std::vector<std::string_view>& names);

// A value that may be left out. Another setting then applies.
template <typename Kind>
struct Optional {
  using Value = std::optional<typename Kind::Value>;
  Kind kind;
  Value read(const toml::node& node) const { return kind.read(node); }
  std::string print(const Value& value) const { return value ? kind.print(*value) : ""; }
};

// An enum with the values 0, 1, 2… in the order of `names`.
template <typename Enum>
struct Choice {
  using Value = Enum;
  std::vector<std::string_view> names;
  Enum read(const toml::node& node) const { return static_cast<Enum>(read_choice(node, names)); }
  std::string print(Enum value) const { return quoted(names[static_cast<std::size_t>(value)]); }
};

struct OneOf {
  using Value = std::string;
  std::vector<std::string_view> names;
  std::string read(const toml::node& node) const {
    return std::string(names[read_choice(node, names)]);
  }
  std::string print(const std::string& value) const { return quoted(value); }
};

// A string that passes `check` (text_checks.h). `check` returns the reason why the string is
// refused, or an empty text.
struct Text {
  using Value = std::string;
  std::string_view example;
  std::string (*check)(std::string_view text);
  std::string read(const toml::node& node) const;
  std::string print(const std::string& value) const { return quoted(value); }
};

struct MilterSocketText {
  using Value = MilterSocket;
  MilterSocket read(const toml::node& node) const;
  std::string print(const MilterSocket& value) const { return quoted(value.print()); }
};

struct OneEndpoint {
  using Value = std::optional<net::Endpoint>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

struct Endpoints {
  using Value = std::vector<net::Endpoint>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

// TCP ports, at most `most` of them.
struct Ports {
  using Value = std::vector<std::uint16_t>;
  std::size_t most;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

// Absolute paths.
struct Files {
  using Value = std::vector<std::string>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

// Domains at the end of a host name, compared without case: "example.org", ".example.org".
struct Suffixes {
  using Value = std::vector<std::string>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

// Names of hosts, and addresses, without a port.
struct Hosts {
  using Value = std::vector<std::string>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

struct Networks {
  using Value = std::vector<net::Network>;
  Value read(const toml::node& node) const;
  std::string print(const Value& value) const;
};

}  // namespace config
