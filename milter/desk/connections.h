// Ends connections to the desk that occupy places without asking anything. A connection on which no
// answer was given for kPatience is closed, even if its bytes drip in. When few places are left,
// the oldest is closed, so that the next client finds a place.
//
// evhttp reports nothing about a connection before its first complete request. So the connections
// are found among the process's descriptors, and recognized by the kernel's cookie. They are shut
// down and not closed: evhttp sees the end and frees its own state.
//
// Used by the loop's thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace desk {

class Connections {
 public:
  using Clock = std::chrono::steady_clock;
  // Chosen, not measured: Prometheus asks within milliseconds. A shorter time could cut a slow
  // network, a longer one keeps places occupied.
  static constexpr std::chrono::seconds kPatience{10};

  // Looks after the connections that come in by `listeners`. Their descriptors are not below the
  // one that is the lowest free one now. At most `most` of them stay.
  Connections(const std::vector<int>& listeners, std::size_t most);

  // Closes the connections that have to go. To be called about once a second.
  void look_after(Clock::time_point now);

 private:
  struct Connection {
    int fd = -1;
    std::uint64_t cookie = 0;
    std::uint64_t sent = 0;  // bytes of answers
    Clock::time_point began;
    Clock::time_point answered;  // when the last answer was sent; at first: when it began
  };

  // The connections that exist now, with what is already known of them.
  std::vector<Connection> find(Clock::time_point now) const;

  std::set<std::uint16_t> ports_;
  const int first_;
  const std::size_t most_;
  std::vector<Connection> known_;
};

}  // namespace desk
