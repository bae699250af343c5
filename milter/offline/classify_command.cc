#include "milter/offline/classify_command.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "milter/offline/in_order.h"
#include "milter/offline/interrupt.h"
#include "milter/offline/offline.h"
#include "milter/offline/report.h"

namespace offline {
namespace {

constexpr int kDamaged = 1;

std::unique_ptr<Report> make_report(const ClassifyOptions& options) {
  switch (options.format) {
    case ClassifyOptions::Format::Text:
      // NO_COLOR: no-color.org
      return text_report(stdout, isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr);
    case ClassifyOptions::Format::Jsonl:
      return jsonl_report(stdout);
    case ClassifyOptions::Format::Html:
      return html_report(stdout, options.sort);
  }
  return nullptr;
}

// Shows the progress in one line on standard error, a few times a second. Shows nothing if standard
// error is not a terminal, or if standard output is a terminal too. Any thread.
class Progress {
 public:
  Progress() : on_(isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1) {}
  ~Progress() { clear(); }

  void show(const std::string& file, std::uint64_t read, std::uint64_t size) {
    if (!on_) return;
    constexpr std::chrono::milliseconds kEvery{250};
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (now - last_ < kEvery) return;
    last_ = now;
    shown_ = true;
    constexpr double kMegabyte = 1e6;
    const auto share = size == 0 ? std::string()
                                 : fmt::format(" {:3.0f} %", 100.0 * static_cast<double>(read) /
                                                                 static_cast<double>(size));
    fmt::print(stderr, "\r\x1b[K{}: {:.0f} MB{}", file, static_cast<double>(read) / kMegabyte,
               share);
    std::fflush(stderr);
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(shown_, false)) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  const bool on_;
  std::mutex mutex_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Standard output if it is a pipe or a socket, else -1. While the input is idle, this descriptor
// shows that the reader of the results has gone away.
int peer_of_output() {
  struct stat about {};
  const bool has_peer =
      fstat(STDOUT_FILENO, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
  return has_peer ? STDOUT_FILENO : -1;
}

class Run {
 public:
  explicit Run(const ClassifyOptions& options) : options_(options), report_(make_report(options)) {}

  int run() {
    Options reading{.policy = options_.policy,
                    .enforcement = options_.enforcement,
                    .waiting = {},
                    .progress = {}};
    reading.waiting = {.before = {}, .stop = interrupt_.fd(), .peer = peer_of_output()};
    // The rows are written out before the input is waited for.
    if (jobs() == 1) reading.waiting.before = [this] { flush(); };
    print([this] { report_->begin(); });
    read_in_order(
        options_.files, jobs(),
        {.read = [&](const std::string& file,
                     const OnResult& on_result) { return read(file, reading, on_result); },
         .on_result = [this](Result&& result) { give(std::move(result)); },
         .on_outcome = [this](const std::string&, const Outcome& outcome) { took(outcome); },
         .before_wait = [this] { flush(); }});
    print([this] { report_->end(); });
    flush();
    if (write_error_ == EPIPE) return EX_OK;  // the reader has gone away
    if (write_error_ != 0) {
      fmt::print(stderr, "segmilter: cannot write the report: {}\n", std::strerror(write_error_));
      return EX_IOERR;
    }
    if (not_begun_ != 0) {
      fmt::print(stderr, "segmilter: note: stopped by a signal: {} files were not read\n",
                 not_begun_.load());
    }
    if (unreadable_ == options_.files.size()) return EX_NOINPUT;
    return unreadable_ + damaged_ + not_begun_ == 0 ? EX_OK : kDamaged;
  }

 private:
  unsigned jobs() const {
    return static_cast<unsigned>(std::min<std::size_t>(options_.jobs, options_.files.size()));
  }

  Outcome read(const std::string& file, const Options& shared, const OnResult& on_result) {
    if (interrupt_.requested()) {
      ++not_begun_;
      return {};
    }
    Options reading = shared;
    reading.progress = [&](std::uint64_t read, std::uint64_t size) {
      progress_.show(file, read, size);
    };
    return classify_file(file, reading, on_result);
  }

  void give(Result&& result) {
    result.number = ++messages_;
    print([&] { report_->message(result); });
  }

  template <typename Printing>
  void print(Printing printing) {
    if (write_error_ != 0) return;
    try {
      printing();
    } catch (const std::system_error& error) {
      failed(error.code().value());
    }
  }

  void took(const Outcome& outcome) {
    progress_.clear();
    if (outcome.kind == Outcome::Kind::Unreadable) ++unreadable_;
    if (outcome.kind == Outcome::Kind::Damaged || outcome.stopped) ++damaged_;
    if (outcome.warning.empty() || write_error_ != 0) return;
    flush();
    fmt::print(stderr, "segmilter: {}{}\n",
               outcome.kind == Outcome::Kind::Good ? "note: " : "warning: ", outcome.warning);
  }

  void flush() {
    if (write_error_ == 0 && std::fflush(stdout) != 0) failed(errno);
  }

  // Output is no longer possible, so the reading ends.
  void failed(int error) {
    write_error_ = error;
    interrupt_.request();
  }

  const ClassifyOptions& options_;
  const std::unique_ptr<Report> report_;
  Interrupt interrupt_;
  Progress progress_;
  std::atomic<std::size_t> not_begun_{0};  // files that were not begun because of an interrupt
  // Only the printing thread uses these members:
  std::uint64_t messages_ = 0;
  std::size_t unreadable_ = 0;
  std::size_t damaged_ = 0;
  int write_error_ = 0;
};

}  // namespace

int classify_command(const ClassifyOptions& options) {
  return Run(options).run();
}

}  // namespace offline
