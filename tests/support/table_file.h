// A table of reputations in the memory of the test.
#pragma once

#include "milter/reputation/table.h"

namespace reputation {

struct TableFile {
  net::Fd fd = make_table();
  TableWriter writer{fd.get()};
  TableView view{fd.get()};
};

inline Time on_day(int days, std::chrono::seconds more = {}) {
  return Time(std::chrono::days(20'000 + days)) + more;
}

inline net::Endpoint client(std::string_view address) {
  return *net::Endpoint::parse_address(address, 40112);
}

}  // namespace reputation
