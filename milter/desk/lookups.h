// Looks into the store for the pages, in threads of its own: no request waits behind another one,
// and the loop never waits for a disk. What was found is kept for a while.
//
//     ask("senders", …) ──► kept and fresh enough? ──► the answer
//                                │ no
//                                ▼
//                           queue ──► thread, with a History of its own ──► kept; `found` is called
//
// Counts of many messages take longer than a page may take. They are looked up again in the
// background (Kind::Counts), and the page says how old they are. Quick answers are always new.
//
// ask() and refresh() are for one thread; `found` is called by the lookups' threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "milter/config/config.h"
#include "milter/desk/findings.h"
#include "milter/history/history.h"

namespace desk {

class Lookups {
 public:
  using Clock = std::chrono::steady_clock;
  using Found = std::variant<std::monostate, Overview, Rows, Estimate>;
  using Find = std::function<Found(history::History&)>;

  struct Answer {
    Found found;
    std::string error;  // not empty: nothing could be found, and why
    Clock::time_point at;
    Clock::duration took{};
  };
  using Kept = std::shared_ptr<const Answer>;

  enum class Kind : std::uint8_t {
    Rows,      // must not be older than kFresh
    Counts,    // may be older, if the look-up takes longer than kQuick
    Standing,  // counts that are looked up even while nobody asks for them
  };

  // Two seconds of age are not noticed, and keep a client that asks without a pause from keeping
  // the threads busy. Counts rest for kRest times as long as they took, so that they use one
  // fiftieth of a processor. All of these were chosen, not measured.
  static constexpr std::chrono::seconds kFresh{2};
  static constexpr int kRest = 50;
  static constexpr std::chrono::milliseconds kQuick{100};
  // Counts that nobody has asked for in this time are forgotten; Standing ones are looked up this
  // often.
  static constexpr std::chrono::minutes kIdle{10};
  static constexpr std::size_t kMostKept = 32;
  static constexpr std::size_t kMostWaiting = 16;
  static constexpr unsigned kThreads = 3;

  // `found`: called after each answer.
  Lookups(const config::Memory& settings, std::function<void()> found);
  ~Lookups();
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;

  // Makes the threads. Not before the process has restricted its system calls: threads that were
  // there before keep theirs. Throws std::system_error.
  void start();

  // Returns null if there is no answer yet, or if too many questions wait. `key` identifies what
  // `find` looks up.
  Kept ask(const std::string& key, Kind kind, Find find);
  // Looks up the counts that are due again, and forgets those that nobody asks for. To be called
  // about once a second.
  void refresh();

 private:
  struct Entry {
    Kind kind = Kind::Rows;
    Find find;
    Kept answer;  // the last one; null: there was none yet
    Clock::time_point asked;
    bool is_waiting = false;  // in the queue, or with a thread
  };

  void run();
  static bool is_due(const Entry& entry, Clock::time_point now);
  static bool is_enough(const Entry& entry, Clock::time_point now);
  void enqueue(const std::string& key, Entry& entry);
  void make_room();

  const config::Memory settings_;
  const std::function<void()> found_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Entry> entries_;
  std::deque<std::string> queue_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace desk
