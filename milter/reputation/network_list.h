// A CSV file of networks (networks.h has its form), and the search in it. Pure; once parsed it is
// safe from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/net/address.h"
#include "milter/reputation/networks.h"

namespace reputation {

class NetworkList {
 public:
  // Chosen: all networks of the world that are announced are about 1.2 million.
  static constexpr std::size_t kMostRows = 2'000'000;
  static constexpr std::size_t kMostText = 128 * 1024 * 1024;

  struct Error {
    std::size_t line = 0;  // from 1
    std::string message;   // what is wrong, and what is expected
  };
  static std::variant<NetworkList, Error> parse(std::string_view text);

  // The facts of the narrowest network that has `client`.
  NetworkFacts find(const net::Endpoint& client) const;
  std::size_t size() const { return rows_.size(); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Row {
    net::Network network;
    std::uint32_t asn = 0;          // 0: not known (RFC 7607 reserves it)
    std::uint32_t wider = kNone;    // the narrowest other row that has this network
    std::array<char, 2> country{};  // zeros: not known
    Access access = Access::Unknown;
  };
  static std::string read_row(std::string_view line, Row& row);
  std::size_t link();

  std::vector<Row> rows_;  // by the first address; of two networks with one first address the wider
                           // one is first
};

}  // namespace reputation
