// Ends connections to the desk that take up room without asking anything. A connection on which no
// answer was given for kPatience is closed, even if its bytes come one by one. When there is little
// room left, the oldest connection is closed, so that the next client finds some.
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
#include <string>
#include <vector>

namespace desk {

class Connections {
 public:
  using Clock = std::chrono::steady_clock;
  // Chosen, not measured: Prometheus asks within milliseconds. A shorter time could cut a slow
  // network, a longer one keeps places occupied.
  static constexpr std::chrono::seconds kPatience{10};

  // At most `most` connections stay. Their descriptors are not below the one that is the lowest
  // free one now.
  explicit Connections(std::size_t most);

  // Looks after the connections that come in by this listener, too.
  void belong_to(int listener);

  // An answer was given on this connection. Over TCP that is seen without a call.
  void answered(int fd);

  // Closes the connections that have to go. To be called about once a second.
  void look_after(Clock::time_point now);

 private:
  struct Connection {
    int fd = -1;
    std::uint64_t cookie = 0;
    bool is_tcp = true;
    std::uint64_t sent = 0;         // bytes of answers; over a unix socket: the answers
    std::uint64_t sent_before = 0;  // at the last look
    Clock::time_point began;
    Clock::time_point answered;  // when the last answer was sent; at first: when it began
  };

  // The connections that exist now, with what is already known of them.
  std::vector<Connection> find(Clock::time_point now) const;

  // Takes over what is known of a connection from the last look.
  static void go_on(const Connection& known, Connection& connection);
  // Where a socket is bound: the port, or the path of a unix socket; empty: neither.
  static std::string place(int fd);

  std::set<std::string> places_;
  const int first_;
  const std::size_t most_;
  std::vector<Connection> known_;
};

}  // namespace desk
