// What is known of networks from outside: the autonomous system, the country and the kind of
// access. It comes from files that the administrator names, which are CSV or, by the ending .mmdb,
// databases of MaxMind's format:
//
//     # network,asn,type,country          an empty field: not known
//     192.0.2.0/24,64500,cellular,RO
//     2001:db8::/32,64501,,
//
// The first file that knows a fact of an address decides; in a CSV file the narrowest network that
// has the address counts. Country and kind are shown and never add to a score.
//
// Constant once made, whatever happens to the files; safe from any thread. A database is kept as a copy
// of its own size.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/net/address.h"

namespace reputation {

enum class Access : std::uint8_t {
  Unknown,
  Cellular,
  Cable,
  Satellite,
  Dialup,
  Corporate,
  Hosting
};
std::string_view name(Access access);  // "cellular"; empty: Unknown
std::optional<Access> access_of(std::string_view word);
std::string access_words();  // all of them, with commas between

struct NetworkFacts {
  std::optional<std::uint32_t> asn;
  Access access = Access::Unknown;
  std::string country;  // two capital letters (ISO 3166-1); empty: not known
  bool operator==(const NetworkFacts&) const = default;
};

class MaxMindFile;
class NetworkList;

class Networks {
 public:
  // Throws std::runtime_error "FILE: …" or "FILE:LINE: …". Null if `files` is empty.
  static std::shared_ptr<const Networks> read(const std::vector<std::string>& files);
  ~Networks();

  NetworkFacts find(const net::Endpoint& client) const;

 private:
  using Source =
      std::variant<std::unique_ptr<const NetworkList>, std::unique_ptr<const MaxMindFile>>;
  Networks();
  std::vector<Source> sources_;  // in the order of the setting
};

}  // namespace reputation
