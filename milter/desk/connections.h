// Ends connections of the desk that take its places and ask nothing: one on which no answer was
// given for kPatience, however its bytes drip in; and, where few places are left, the oldest, so
// that one is kept for whoever comes next.
//
// evhttp says nothing of a connection before it has a whole request, so the connections are found
// among the process's descriptors, and known again by the kernel's cookie. They are shut down and
// not closed: evhttp sees their end and frees what it has.
//
// One thread, the loop's.
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
  static constexpr std::chrono::seconds kPatience{10};

  // Those that come in by `listeners`, with descriptors from the next free one on; at most `most`
  // of them stay.
  Connections(const std::vector<int>& listeners, std::size_t most);

  void look_after(Clock::time_point now);

 private:
  struct Connection {
    int fd = -1;
    std::uint64_t cookie = 0;
    std::uint64_t sent = 0;  // bytes of answers
    Clock::time_point began;
    Clock::time_point answered;  // or begun
  };

  // Those that are there now; what is known of them is kept.
  std::vector<Connection> find(Clock::time_point now) const;

  std::set<std::uint16_t> ports_;
  const int first_;
  const std::size_t most_;
  std::vector<Connection> known_;
};

}  // namespace desk
