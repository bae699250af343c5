// Answers what is known of a client, from the table and without waiting for anybody.
//
//     client ─► networks file ─► ASN ─┐
//           └─► keys ─────────────────┴─► table ─► entries ─► Standing
//
// Safe from any thread. replace() may be called while others look up.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "milter/reputation/counters.h"
#include "milter/reputation/key.h"
#include "milter/reputation/networks.h"
#include "milter/reputation/standing.h"
#include "milter/reputation/table.h"

namespace reputation {

// What a look-up depends on besides the table; a reload makes another one.
struct Rules {
  Keys keys;
  std::shared_ptr<const Networks> networks;  // null: nothing is known of networks
  Clamp clamp;
};

// Reads the files that `config` names. Throws std::runtime_error with the setting, the file and the
// line.
Rules read_rules(const config::Config& config);

// As read_rules(). But if one of the files of networks cannot be read, all of them are left out, with
// an error in the log: at a start that is better than no reputations.
Rules start_rules(const config::Config& config);

class Reader {
 public:
  // `counters` must outlive the reader.
  Reader(TableView table, Rules rules, Counters& counters)
      : table_(std::move(table)),
        rules_(std::make_shared<const Rules>(std::move(rules))),
        counters_(counters) {}

  // `gait`: a name of the book; empty or "unknown": not known. Returns nothing if there is no
  // answer, because the writer was at work on the entry, has died while writing it, or has other
  // keys. A client of which nothing is known has a standing without levels.
  std::optional<Standing> look_up(const net::Endpoint& client, std::string_view gait,
                                  Time now) const;

  void replace(Rules rules);

 private:
  std::shared_ptr<const Rules> rules() const;

  const TableView table_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;
  Counters& counters_;
};

}  // namespace reputation
