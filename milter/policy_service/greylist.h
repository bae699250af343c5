// Greylisting: which sender has come again. The first attempt of a network, sender and recipient is
// to be deferred. A program that keeps a queue comes again and passes; most bots do not.
//
//     first attempt ── after ──► may pass ── until ──► forgotten, if it did not come
//                                   │
//                                   └─► passed: passes for `keep` since it came last
//
// Only hashes are kept, with a secret of this object, so neither sender nor recipient can be read
// from them. The memory is bounded: kMost entries that wait and kMost that have passed, each about
// 100 bytes. In each of the two the entry that was used longest ago makes room. So a spray of new
// senders cannot push out those that have passed, and a client that is pushed out is only deferred
// once more.
//
// Kept in memory only: when the filter is started again, clients are deferred once more.
//
// Passive: the time is an argument. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "milter/config/config.h"
#include "milter/net/address.h"

namespace policy_service {

class Greylist {
 public:
  using Clock = std::chrono::steady_clock;
  // Chosen, not measured: 50,000 bad senders in the time between two attempts are far more than a
  // single Postfix meets, and take 10 MB at most.
  static constexpr std::size_t kMost = 50'000;

  Greylist();

  // True if the attempt is to be deferred.
  bool defers(const net::Endpoint& client, std::string_view sender, std::string_view recipient,
              const config::PolicyService& settings, Clock::time_point now);

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t passed() const { return passed_.size(); }

 private:
  using Key = std::uint64_t;
  // Entries in the order of their last use.
  class Recent {
   public:
    // Null: there is none.
    Clock::time_point* find(Key key);  // becomes the last one used
    void put(Key key, Clock::time_point time);
    void erase(Key key);
    std::size_t size() const { return places_.size(); }

   private:
    struct Entry {
      Key key;
      Clock::time_point time;
    };
    std::list<Entry> entries_;  // the last used one is the first
    std::unordered_map<Key, std::list<Entry>::iterator> places_;
  };

  Key key_of(const net::Endpoint& client, std::string_view sender,
             std::string_view recipient) const;

  const std::string secret_;
  Recent waiting_;  // with the time of the first attempt
  Recent passed_;   // with the time of the last attempt
};

}  // namespace policy_service
