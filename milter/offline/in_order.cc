#include "milter/offline/in_order.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace offline {
namespace {

// The largest number of results of one file that wait for the file's turn. Chosen, not measured: a
// result has up to 4096 segments, so a larger queue costs memory, and in a smaller one readers wait
// more often.
constexpr std::size_t kResultsAhead = 256;

// How many files may be begun ahead for each job, so that readers of short files need not wait.
// Chosen, not measured.
constexpr std::size_t kFilesAhead = 8;

// The results of one file.
struct Queue {
  std::deque<Result> results;
  std::optional<Outcome> outcome;  // set when the file is read; no result comes after it
  std::exception_ptr error;        // the exception that ended the reading, if there was one
  bool ended() const { return outcome || error; }
};

class Readers {
 public:
  Readers(const std::vector<std::string>& files, unsigned jobs, const InOrder& steps)
      : files_(files), steps_(steps), jobs_(jobs), queues_(files.size()) {}

  void run() {
    std::vector<std::jthread> threads;
    try {
      for (unsigned i = 0; i < jobs_; ++i) threads.emplace_back([this] { read_files(); });
      for (std::size_t file = 0; file < files_.size(); ++file) give(file);
    } catch (...) {
      abandon();
      throw;
    }
  }

 private:
  void read_files() {
    while (const auto file = next_file()) {
      std::optional<Outcome> outcome;
      std::exception_ptr error;
      try {
        outcome =
            steps_.read(files_[*file], [&](Result&& result) { keep(*file, std::move(result)); });
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      queues_[*file].outcome = std::move(outcome);
      queues_[*file].error = error;
      changed_.notify_all();
    }
  }

  // The caller takes no more results: makes the readers end.
  void abandon() {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    next_ = files_.size();
    changed_.notify_all();
  }

  std::optional<std::size_t> next_file() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return next_ == files_.size() || next_ < turn_ + std::size_t{jobs_} * kFilesAhead;
    });
    return next_ == files_.size() ? std::nullopt : std::optional(next_++);
  }

  void keep(std::size_t file, Result&& result) {
    std::unique_lock lock(mutex_);
    auto& results = queues_[file].results;
    changed_.wait(lock, [&] { return abandoned_ || results.size() < kResultsAhead; });
    if (abandoned_) return;
    results.push_back(std::move(result));
    if (file == turn_ && results.size() == 1) changed_.notify_all();
  }

  // Delivers all results of one file, in the file's turn.
  void give(std::size_t file) {
    Queue& queue = queues_[file];
    std::unique_lock lock(mutex_);
    turn_ = file;
    changed_.notify_all();
    while (!queue.ended() || !queue.results.empty()) {
      if (queue.results.empty()) {
        lock.unlock();
        steps_.before_wait();
        lock.lock();
        changed_.wait(lock, [&] { return queue.ended() || !queue.results.empty(); });
      }
      auto results = std::exchange(queue.results, {});
      changed_.notify_all();
      lock.unlock();
      for (Result& result : results) steps_.on_result(std::move(result));
      lock.lock();
    }
    if (queue.error) std::rethrow_exception(queue.error);
    const Outcome outcome = *std::exchange(queue.outcome, std::nullopt);
    lock.unlock();
    steps_.on_outcome(files_[file], outcome);
  }

  const std::vector<std::string>& files_;
  const InOrder& steps_;
  const unsigned jobs_;
  std::mutex mutex_;  // guards all members below
  std::condition_variable changed_;
  std::vector<Queue> queues_;  // one per file
  std::size_t next_ = 0;       // the next file to read
  std::size_t turn_ = 0;       // the file whose results are delivered now
  bool abandoned_ = false;
};

}  // namespace

void read_in_order(const std::vector<std::string>& files, unsigned jobs, const InOrder& steps) {
  jobs = static_cast<unsigned>(std::min<std::size_t>(jobs, files.size()));
  if (jobs > 1) return Readers(files, jobs, steps).run();
  for (const std::string& file : files) steps.on_outcome(file, steps.read(file, steps.on_result));
}

}  // namespace offline
