// A database of MaxMind's format (GeoLite2-ASN.mmdb and the like), read by libmaxminddb. This
// header hides maxminddb.h. Safe from any thread.
#pragma once

#include <memory>
#include <string>

#include "milter/net/address.h"
#include "milter/reputation/networks.h"

struct MMDB_s;

namespace reputation {

class MaxMindFile {
 public:
  // Throws std::runtime_error "FILE: …".
  explicit MaxMindFile(const std::string& file);

  // Reads autonomous_system_number, country.iso_code, and connection_type (also below traits).
  NetworkFacts find(const net::Endpoint& client) const;

 private:
  struct Close {
    void operator()(MMDB_s* database) const;
  };
  std::unique_ptr<MMDB_s, Close> database_;
};

}  // namespace reputation
