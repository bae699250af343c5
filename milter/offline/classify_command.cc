#include "milter/offline/classify_command.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "milter/offline/offline.h"
#include "milter/offline/report.h"

namespace offline {
namespace {

constexpr int kDamaged = 1;

std::unique_ptr<Report> make_report(ClassifyOptions::Format format) {
  switch (format) {
    case ClassifyOptions::Format::Text:
      // NO_COLOR: no-color.org
      return text_report(stdout, isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr);
    case ClassifyOptions::Format::Jsonl:
      return jsonl_report(stdout);
    case ClassifyOptions::Format::Html:
      return html_report(stdout);
  }
  return nullptr;
}

// A line on standard error that overwrites itself, a few times a second; nothing when that is no
// terminal, or when results go to the same one.
class Progress {
 public:
  Progress() : on_(isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) != 1) {}
  ~Progress() { clear(); }

  void show(const std::string& file, std::uint64_t read, std::uint64_t size) {
    constexpr std::chrono::milliseconds kEvery{250};
    const auto now = std::chrono::steady_clock::now();
    if (!on_ || now - last_ < kEvery) return;
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
    if (std::exchange(shown_, false)) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  bool on_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

int classify_command(const ClassifyOptions& options) {
  const auto report = make_report(options.format);
  Progress progress;
  std::size_t unreadable = 0;
  std::size_t damaged = 0;
  report->begin();
  for (const std::string& file : options.files) {
    Options reading{.policy = options.policy, .progress = {}};
    reading.progress = [&](std::uint64_t read, std::uint64_t size) {
      progress.show(file, read, size);
    };
    const Outcome outcome =
        classify_file(file, reading, [&](Result&& result) { report->message(result); });
    progress.clear();
    if (outcome.kind == Outcome::Kind::Unreadable) ++unreadable;
    if (outcome.kind == Outcome::Kind::Damaged) ++damaged;
    if (!outcome.warning.empty()) {
      std::fflush(stdout);
      fmt::print(stderr, "segmilter: {}{}\n",
                 outcome.kind == Outcome::Kind::Good ? "note: " : "warning: ", outcome.warning);
    }
  }
  report->end();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "segmilter: write the report: {}\n", std::strerror(errno));
    return EX_IOERR;
  }
  if (unreadable == options.files.size()) return EX_NOINPUT;
  return unreadable + damaged == 0 ? EX_OK : kDamaged;
}

}  // namespace offline
