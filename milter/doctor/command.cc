#include "milter/doctor/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <cstdlib>
#include <cstring>

#include "milter/net/fd.h"

namespace doctor {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  net::Fd read;
  net::Fd write;
};

Pipe make_pipe() {
  int ends[2];
  net::check(pipe2(ends, O_CLOEXEC), "make a pipe");
  return {net::Fd(ends[0]), net::Fd(ends[1])};
}

std::string search_path() {
  const char* path = std::getenv("PATH");
  return std::string(path != nullptr ? path : "/usr/bin:/bin") + ":/usr/sbin:/usr/local/sbin:/sbin";
}

[[noreturn]] void become(const std::vector<std::string>& argv, int output, int error) {
  std::vector<char*> words;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const net::Fd input(::open("/dev/null", O_RDONLY));
  dup2(input.get(), STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(error, STDERR_FILENO);
  setenv("PATH", search_path().c_str(), 1);
  setenv("LC_ALL", "C", 1);
  execvp(words[0], words.data());
  _exit(kNotFound);
}

// Reads once and appends to `into`. False: `fd` is at its end.
bool take(int fd, std::string& into) {
  char buffer[16 * 1024];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) return false;
  const auto room = kMaxOutput - std::min(into.size(), kMaxOutput);
  into.append(buffer, std::min(static_cast<std::size_t>(got), room));
  return true;
}

// Reads both pipes to their ends. False: the deadline has passed.
bool read_all(const net::Fd& output, const net::Fd& error, CommandResult& result,
              Clock::time_point deadline) {
  pollfd entries[] = {{output.get(), POLLIN, 0}, {error.get(), POLLIN, 0}};
  std::string* texts[] = {&result.output, &result.error};
  while (entries[0].fd >= 0 || entries[1].fd >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (poll(entries, 2, static_cast<int>(left)) < 0 && errno != EINTR) return false;
    for (int i = 0; i < 2; ++i) {
      // poll ignores a negative descriptor.
      if (entries[i].revents != 0 && !take(entries[i].fd, *texts[i])) entries[i].fd = -1;
      entries[i].revents = 0;
    }
  }
  return true;
}

// Returns the exit status. A program that has closed its output but still runs is killed at the
// deadline.
int wait_for(pid_t child, Clock::time_point deadline) {
  constexpr timespec kPause{0, 5'000'000};
  int status = 0;
  bool killed = false;
  for (;;) {
    const pid_t ended = waitpid(child, &status, killed ? 0 : WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) return -1;
    if (!killed && Clock::now() >= deadline) {
      kill(child, SIGKILL);
      killed = true;
    }
    if (!killed) nanosleep(&kPause, nullptr);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& argv, std::chrono::seconds limit) {
  CommandResult result;
  auto output = make_pipe();
  auto error = make_pipe();
  const pid_t child = fork();
  net::check(child, "start " + argv[0]);
  if (child == 0) become(argv, output.write.get(), error.write.get());
  output.write.reset();
  error.write.reset();
  const auto deadline = Clock::now() + limit;
  const bool whole = read_all(output.read, error.read, result, deadline);
  result.status = wait_for(child, whole ? deadline : Clock::now());
  result.error = result.error.substr(0, result.error.find('\n'));
  if (Clock::now() >= deadline) {
    result.error = fmt::format("{} did not end within {} s", argv[0], limit.count());
    result.status = -1;
  }
  if (result.status == kNotFound) result.error = argv[0] + " cannot be run. Is it installed?";
  if (result.status != 0 && result.error.empty()) result.error = argv[0] + " failed";
  return result;
}

}  // namespace doctor
