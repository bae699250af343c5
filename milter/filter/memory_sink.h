// Tells the memory process of each judged message, over the socket pair that the supervisor has
// made.
//
//     libmilter's threads ── take ──► waiting ──(own thread, each 100 ms)──► socket ──► memory
//                                       │
//                                  full: dropped and counted
//
// The message's thread only copies the sighting into the queue: it makes no system call, so the
// answer to Postfix does not wait for one. The copies are used again, because a copy that another
// thread frees makes each allocation of the message's thread slower. The queue's thread looks at
// the clock instead of being woken, because to wake a thread takes as long as to send. While memory
// is away, stopped or slow, the socket fills up and then the queue.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "milter/filter/record.h"
#include "milter/memory/counters.h"

namespace filter {

class MemorySink final : public RecordSink {
 public:
  static constexpr std::chrono::milliseconds kEvery{100};
  // What may wait: sightings, and segments and TLS records in all of their traces. Together some
  // megabytes; and 20,000 messages a second, far more than a filter can judge.
  static constexpr std::size_t kMostSightings = 2048;
  static constexpr std::size_t kMostPieces = 65536;

  // `socket`: the filter's end of the pair, borrowed. `counters` outlives this.
  MemorySink(int socket, memory::Counters& counters) : socket_(socket), counters_(counters) {}
  ~MemorySink() override { stop(); }
  MemorySink(const MemorySink&) = delete;
  MemorySink& operator=(const MemorySink&) = delete;

  // Safe from any thread.
  void take(const Record& record, const config::Config& settings) override;

  // Starts the thread that sends. Requires: the process is confined, because a seccomp filter holds
  // for later threads only. Throws std::system_error.
  void start();
  // Sends what waits; for a second at most, if the socket is full. What is taken after this is
  // dropped and counted.
  void stop();
  // Sends until nothing waits (true) or the socket is full (false). By one thread at a time: the
  // sink's own, if it was started.
  bool send_waiting();

 private:
  using Slot = std::unique_ptr<memory::Sighting>;

  // Copies that are kept for the next messages: so many, of traces that are no larger than this.
  static constexpr std::size_t kMostSpare = 128;
  static constexpr std::size_t kMostSparePieces = 128;

  void serve();
  bool send(const memory::Sighting& sighting);
  Slot copy(const memory::Sighting& sighting);
  void remove_first();

  const int socket_;
  memory::Counters& counters_;
  std::mutex mutex_;  // of all that follows
  std::deque<Slot> waiting_;
  std::vector<Slot> spare_;
  std::size_t pieces_ = 0;  // in waiting_
  bool stopping_ = false;
  std::condition_variable stop_;
  std::thread thread_;  // not under the mutex: by the thread that starts and stops
};

}  // namespace filter
