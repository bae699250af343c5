// Decides which clients are admitted. There are limits on the sessions of all clients, of one
// client (an IPv4 address or an IPv6 /64, because a host is given a /64), and of one network (an
// IPv4 /24 or an IPv6 /48, which holds 65,536 /64s). A fourth limit is on the new sessions of one
// client in a minute.
//
// An admitted session holds a Place, and gives it back by destroying that object.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "milter/config/config.h"
#include "milter/net/address.h"
#include "milter/net/pace.h"
#include "milter/proxy/counters.h"

namespace proxy {

using std::chrono::steady_clock;

// Safe from any thread. Time comes in as an argument.
class Admission {
 public:
  enum class Answer { Admitted, Full, TooManyOfAddress, TooManyOfNetwork, TooFast };

  class Place {
   public:
    Place() = default;  // holds nothing
    Place(Place&& other) noexcept;
    Place& operator=(Place&&) = delete;
    ~Place();

    // The balancer has named the client: counts the session for this client too, if it is admitted.
    // Requires: this object holds a place, and named() is false.
    Answer name(const net::Endpoint& client, const config::Proxy& limits,
                steady_clock::time_point now);
    // Whether the session is counted for a client.
    bool named() const { return client_.has_value(); }

   private:
    friend class Admission;
    Admission* admission_ = nullptr;
    std::optional<net::Endpoint> client_;
  };

  struct Entry {
    Answer answer = Answer::Full;
    Place place;  // holds nothing if the answer is not Admitted
  };
  // Admits a session whose client is known. Requires: this object outlives the place.
  Entry enter(const net::Endpoint& client, const config::Proxy& limits,
              steady_clock::time_point now);
  // Admits a session whose balancer has not named the client yet. It counts among all sessions at
  // once, and for the client from Place::name() on.
  Entry enter_unnamed(const config::Proxy& limits);

  std::size_t sessions() const;
  // The number of clients whose rate is remembered.
  std::size_t rates() const;

 private:
  // These require the lock.
  Answer count(const net::Endpoint& client, const config::Proxy& limits,
               steady_clock::time_point now);
  void take(Place& place);
  void leave(const std::optional<net::Endpoint>& client);

  mutable std::mutex mutex_;
  std::unordered_map<net::Endpoint, unsigned> of_address_;
  std::unordered_map<net::Endpoint, unsigned> of_network_;
  net::Pace rates_;
  std::size_t sessions_ = 0;
};

// The line that a refused client is sent, and the counter of such clients. Requires: `answer` is
// not Admitted.
struct Refusal {
  std::string_view line;
  std::atomic<std::uint64_t>& counter;
};
Refusal refusal(Admission::Answer answer, Counters& counters);

}  // namespace proxy
