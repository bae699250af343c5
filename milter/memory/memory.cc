#include "milter/memory/memory.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "milter/log/log.h"
#include "milter/memory/sighting_bytes.h"
#include "milter/memory/store.h"
#include "milter/memory/teaching.h"
#include "milter/net/event.h"
#include "milter/process/orders.h"
#include "milter/process/seccomp.h"

namespace memory {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kBatch = 500;
constexpr timeval kWriteEvery{0, 200'000};
// When it has read all, it sleeps for this long, whatever comes. So the filter wakes it at most a
// hundred times a second, and not for each message. If more than a few messages have come at once
// it reads on, because the socket may be small.
constexpr timeval kReadPause{0, 10'000};
constexpr std::size_t kFew = 16;
constexpr auto kCleanEvery = 5s;
constexpr auto kCheckpointEvery = 60s;
// Rows that lose their addresses in a turn of the timer: some milliseconds of work.
constexpr unsigned kTruncateRows = 1000;
// After a write has failed, sightings are dropped for this long before the disk is tried again.
constexpr auto kPause = 1s;
// The process may read these and its own group may.
constexpr mode_t kMask = 0027;

Limits limits_of(const config::Memory& settings) {
  return {settings.max_days, settings.max_bytes, settings.min_free};
}

class Process final : private process::Orders::Listener {
 public:
  Process(const process::Start& start, const Inputs& inputs)
      : start_(start),
        settings_(start.config.memory),
        form_(settings_),
        store_(settings_.folder),
        counters_(inputs.counters),
        teaching_(std::in_place, start.config, inputs.reputations, inputs.reputation_counters),
        socket_(start.control_fd < 0 ? -1 : inputs.sightings),  // alone: nobody has the other end
        buffer_(kMostBytes, '\0'),
        base_(net::make_loop()),
        orders_(base_.get(), start, *this) {
    timer_ = net::make_event(
        base_.get(), -1, EV_PERSIST,
        [](evutil_socket_t, short, void* self) { guarded<&Process::tick>(self); }, this,
        &kWriteEvery);
    if (socket_ < 0) return;
    readable_ = net::make_event(
        base_.get(), socket_, EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* self) { guarded<&Process::read>(self); }, this);
    rested_ = net::make_event(
        base_.get(), -1, 0,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->read_on(); }, this,
        &kReadPause);
  }

  int run() {
    process::confine(start_.part, start_.config);
    store_.check(today());
    count_corrupt();
    orders_.ready();
    logging::info(fmt::format("memory ready: {}{}", settings_.folder,
                              socket_ < 0 ? "; it runs alone and receives no messages" : ""));
    event_base_dispatch(base_.get());
    return EX_OK;
  }

 private:
  enum class State {
    Serving,
    HandedOver,  // the filter of the same program still drains: to the end of its sightings
    Ended,
  };

  // If a turn fails for lack of memory, that is no reason to end the process.
  template <void (Process::*method)()>
  static void guarded(void* self) {
    try {
      (static_cast<Process*>(self)->*method)();
    } catch (const std::exception& error) {
      static_cast<Process*>(self)->complain(error.what());
    }
  }

  void read() {
    // Bounded, so that the supervisor is answered in between.
    for (std::size_t i = 0; i < kBatch; ++i) {
      if (!receive()) {
        if (i < kFew) rest();
        return;
      }
      if (batch_.size() < kBatch) continue;
      write();
      // Another process has the file. What comes waits in the socket, where the filter finds it
      // full.
      if (batch_.size() >= kBatch) {
        (void)event_del(readable_.get());
        return;
      }
    }
  }

  void rest() {
    (void)event_del(readable_.get());
    (void)event_add(rested_.get(), &kReadPause);
  }

  void read_on() {
    if (batch_.size() < kBatch) (void)event_add(readable_.get(), nullptr);
  }

  // False: nothing waits.
  bool receive() {
    const auto size = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0) return errno == EINTR;
    if (size == 0 && has_ended()) {
      if (state_ == State::HandedOver) end();
      return false;
    }
    auto sighting = static_cast<std::size_t>(size) > buffer_.size()
                        ? std::nullopt
                        : from_bytes({buffer_.data(), static_cast<std::size_t>(size)});
    if (sighting) {
      if (teaching_) teaching_->take(*sighting);
      batch_.push_back(std::move(*sighting));
    } else {
      ++counters_.dropped_malformed;
    }
    return true;
  }

  // An empty datagram looks like the end.
  bool has_ended() const {
    pollfd entry{socket_, POLLIN, 0};
    return poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
  }

  void write() {
    if (batch_.empty()) return;
    const auto now = Clock::now();
    if (full_) {
      drop(counters_.dropped_limit);
    } else if (now < pause_) {
      drop(counters_.dropped_disk);
    } else {
      write_batch(now);
    }
  }

  void write_batch(Clock::time_point now) {
    const auto written = store_.write(batch_, form_);
    count_corrupt();
    counters_.stored += written.rows;
    counters_.dropped_sample += written.done - written.rows;
    batch_.erase(batch_.begin(), batch_.begin() + static_cast<std::ptrdiff_t>(written.done));
    if (!written.error.empty()) {
      drop(counters_.dropped_disk);
      pause_ = now + kPause;
      failed_ = true;
      if (failure_.more(++failures_, now) != 0) {
        logging::error(written.error +
                       "; messages are not remembered until it can be written again");
      }
    } else if (!written.busy && std::exchange(failed_, false)) {
      logging::info(fmt::format("{}: messages are remembered again", settings_.folder));
    }
  }

  void count_corrupt() {
    counters_.corrupt += store_.corrupt() - std::exchange(corrupt_, store_.corrupt());
  }

  void drop(process::Count& counter) {
    counter += batch_.size();
    batch_.clear();
  }

  void tick() {
    count_waiting();
    write();
    if (socket_ >= 0) read_on();
    const auto now = Clock::now();
    if (now >= next_clean_) {
      next_clean_ = now + kCleanEvery;
      clean();
    }
    if (now >= next_checkpoint_) {
      next_checkpoint_ = now + kCheckpointEvery;
      store_.checkpoint();
    }
    if (!failed_) (void)store_.truncate_some(kTruncateRows, today());
    if (teaching_) teaching_->tick();  // after write()
  }

  static Day today() {
    return day_of(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
  }

  void count_waiting() {
    int bytes = 0;
    if (socket_ < 0 || ioctl(socket_, FIONREAD, &bytes) != 0) return;
    counters_.waiting = static_cast<std::uint64_t>(bytes);
  }

  void clean() {
    store_.forget_lost_files();
    const auto cleaned = store_.clean(limits_of(settings_), today());
    counters_.removed_days += cleaned.removed;
    counters_.days = cleaned.uses.size();
    std::uint64_t bytes = 0;
    for (const auto& [day, use] : cleaned.uses) bytes += use.bytes;
    counters_.bytes = bytes;
    counters_.oldest =
        cleaned.uses.empty()
            ? 0
            : static_cast<std::uint64_t>(
                  std::chrono::seconds(cleaned.uses.begin()->first.time_since_epoch()).count());
    tell_ahead(cleaned.uses);
    tell_full(cleaned.full);
    sample(cleaned.uses);
  }

  void sample(const Uses& uses) {
    const auto today_uses = uses.find(today());
    const auto one_of =
        today_uses == uses.end() ? 1 : sample_of(today_uses->second.bytes, settings_.max_bytes);
    if (std::exchange(one_of_, one_of) == one_of) return;
    store_.sample(one_of);
    logging::warning(
        fmt::format("{}: the files of today have {} of memory.max_bytes: {}", settings_.folder,
                    one_of == 1 ? "enough" : "little",
                    one_of == 1 ? "each message has a row again"
                                : fmt::format("one of {} harmless messages has a row", one_of)));
  }

  // Once for as long as there is such a file.
  void tell_ahead(const Uses& uses) {
    const bool ahead = !uses.empty() && is_ahead(uses.rbegin()->first, today());
    if (std::exchange(ahead_, ahead) || !ahead) return;
    logging::warning(
        fmt::format("{}/{}: is of a day in the future: the clock was wrong then, or is now. The "
                    "file does not become too old; remove it if the clock is right",
                    settings_.folder, uses.rbegin()->second.files.front()));
  }

  void tell_full(bool full) {
    if (std::exchange(full_, full) == full) return;
    if (!full) return logging::info(settings_.folder + ": messages are remembered again");
    logging::error(fmt::format(
        "{}: the files of today alone reach memory.max_bytes, or the disk has less than "
        "memory.min_free left: messages are not remembered until there is room",
        settings_.folder));
  }

  void complain(const std::string& what) {
    ++complaints_;
    if (complaint_.more(complaints_, Clock::now()) != 0) logging::error(what);
  }

  void drain() override {
    if (state_ == State::HandedOver && !std::exchange(told_, true)) return;
    while (socket_ >= 0 && receive()) {
      if (batch_.size() >= kBatch) write();
      if (batch_.size() >= kBatch) break;  // another process has the file
    }
    end();
  }

  void end() {
    if (std::exchange(state_, State::Ended) == State::Ended) return;
    write();
    drop(counters_.dropped_disk);
    if (teaching_) teaching_->save();
    event_base_loopbreak(base_.get());
  }

  // The next memory is the writer of the table from now on.
  void hand_over() override {
    teaching_.reset();
    if (socket_ >= 0) state_ = State::HandedOver;
  }

  void abandoned() override { state_ = State::Serving; }

  void reloaded(std::shared_ptr<const config::Config> config) override {
    settings_ = config->memory;
    if (teaching_) teaching_->reload(*config);
    try {
      form_ = AddressForm(settings_);
    } catch (const std::runtime_error& error) {
      logging::error(
          fmt::format("memory.key_file: {}; addresses are stored as before", error.what()));
    }
  }

  const process::Start start_;
  config::Memory settings_;
  AddressForm form_;
  Store store_;
  Counters& counters_;
  std::optional<Teaching> teaching_;  // nothing: another memory writes the table
  const int socket_;
  std::string buffer_;
  std::vector<Sighting> batch_;
  State state_ = State::Serving;
  bool told_ = false;    // to drain, after it was handed over
  bool ahead_ = false;   // there is a file of a day in the future
  bool full_ = false;    // max_bytes or min_free does not hold
  bool failed_ = false;  // the last write
  Clock::time_point pause_;
  Clock::time_point next_clean_;
  Clock::time_point next_checkpoint_ = Clock::now() + kCheckpointEvery;
  std::uint32_t one_of_ = 1;    // harmless messages for a row
  std::size_t corrupt_ = 0;     // of the store's, that are counted already
  std::uint64_t failures_ = 0;  // of writes, and the line a minute about them
  logging::RateLimit failure_;
  std::uint64_t complaints_ = 0;  // of all else
  logging::RateLimit complaint_;
  net::EventBase base_;
  net::Event timer_;
  net::Event readable_;
  net::Event rested_;
  process::Orders orders_;
};

}  // namespace

int run(const process::Start& start, const Inputs& inputs) {
  std::signal(SIGPIPE, SIG_IGN);
  (void)umask(kMask);
  return Process(start, inputs).run();
}

}  // namespace memory
