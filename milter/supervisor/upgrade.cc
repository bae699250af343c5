#include "milter/supervisor/upgrade.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "milter/config/load.h"
#include "milter/net/fd.h"
#include "milter/supervisor/child.h"

namespace supervisor {
namespace {

// How long the new program may take to read the configuration. Meanwhile the supervisor does not
// ping the children and does not read their answers, so this must end before they look silent.
constexpr std::chrono::milliseconds kCheck{5'000};
// The children are pinged every 2 s, so their last answer may already be some seconds old.
static_assert(kCheck + std::chrono::seconds(4) < Child::kSilence);

// The exit code of the program `pid`, which is waited for at most `most`. Nothing: it did not end
// in that time and was killed, or a signal ended it.
std::optional<int> wait_for(pid_t pid, std::chrono::milliseconds most) {
  const net::Fd end(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd entry{end.get(), POLLIN, 0};
  const bool ended = end && poll(&entry, 1, static_cast<int>(most.count())) == 1;
  if (!ended) (void)kill(pid, SIGKILL);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !ended || !WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status);
}

}  // namespace

std::string own_program() {
  std::array<char, PATH_MAX> path{};
  const auto size = readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (size < 0) return {};
  std::string text(path.data(), static_cast<std::size_t>(size));
  constexpr std::string_view kReplaced = " (deleted)";
  if (text.ends_with(kReplaced)) text.resize(text.size() - kReplaced.size());
  return text;
}

std::string why_no_upgrade(const std::string& program, const config::Config& running,
                           const std::string& file) {
  try {
    const auto changed =
        config::needs_restart(running, config::parse(config::read_file(file), file));
    if (!changed.empty()) {
      return fmt::format("a change of these settings needs a restart: {}",
                         fmt::join(changed, ", "));
    }
  } catch (const config::ConfigError& error) {
    return error.what();
  }
  std::string check = "check";
  std::string flag = "-c";
  std::string name = program;
  std::string path = file;
  char* arguments[] = {name.data(), check.data(), flag.data(), path.data(), nullptr};
  posix_spawn_file_actions_t quiet;  // its "ok" does not belong in the log
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, program.c_str(), &quiet, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&quiet);
  if (error != 0) return fmt::format("start {}: {}", program, std::strerror(error));
  const auto code = wait_for(pid, kCheck);
  if (!code) return fmt::format("{} check: did not exit normally", program);
  return *code == 0 ? "" : fmt::format("{} check: exit code {}", program, *code);
}

std::string become(const std::string& program, const std::string& file) {
  execl(program.c_str(), program.c_str(), "run", "-c", file.c_str(), static_cast<char*>(nullptr));
  return fmt::format("become {}: {}", program, std::strerror(errno));
}

}  // namespace supervisor
