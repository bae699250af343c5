// Each case runs in its own process, with the list in force. The kernel's answer there is the
// answer that injected code would get. Runs as root, so that nothing except the list can refuse a
// call.
#include "milter/process/seccomp.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <thread>

using process::Part;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// "ok", "killed by SIGSYS", or errno's name.
std::string describe(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by SIG{}", sigabbrev_np(WTERMSIG(status)));
  const int code = WEXITSTATUS(status);
  return code == 0 ? "ok" : strerrorname_np(code);
}

// Runs `body` in a child process. The child exits with the code that `body` returns.
std::string in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    std::signal(SIGABRT, SIG_DFL);  // Catch installs its own handler
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    _exit(body());
  }
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return describe(status);
}

using Call = long (*)();

std::string tried(Part part, Call call) {
  return in_child([&] {
    process::confine(part, {});
    return call() == -1 ? errno : 0;
  });
}

long execute() {
  char* const arguments[] = {const_cast<char*>("true"), nullptr};
  return execv("/bin/true", arguments);
}

struct Row {
  const char* what;
  Call call;
  const char* expected;
  bool is_file = false;  // the memory process may do this
};

constexpr Row kOfAllChildren[] = {
    {"execve", execute, "killed by SIGSYS"},
    {"ptrace", [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); },
     "killed by SIGSYS"},
    {"bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }, "killed by SIGSYS"},
    {"mount", [] { return long{mount("none", "/mnt", "tmpfs", 0, nullptr)}; }, "killed by SIGSYS"},
    {"init_module", [] { return syscall(SYS_init_module, nullptr, 0, ""); }, "killed by SIGSYS"},
    {"setuid", [] { return long{setuid(0)}; }, "killed by SIGSYS"},
    {"unshare", [] { return long{unshare(CLONE_NEWUSER)}; }, "killed by SIGSYS"},
    {"process_vm_readv",
     [] { return long{syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0)}; },
     "killed by SIGSYS"},
    {"fork", [] { return long{fork()}; }, "EPERM"},
    {"a packet socket", [] { return long{socket(AF_PACKET, SOCK_RAW, 0)}; }, "EPERM"},
    {"open for writing", [] { return long{::open("/etc/hostname", O_WRONLY)}; }, "EPERM", true},
    {"open to append", [] { return long{::open("/etc/hostname", O_RDONLY | O_APPEND)}; }, "EPERM",
     true},
    {"make a file", [] { return long{::open("/tmp/segmilter-none", O_RDONLY | O_CREAT, 0600)}; },
     "EPERM", true},
    {"chmod", [] { return long{chmod("/etc/hostname", 0644)}; }, "EPERM"},
    {"rename", [] { return long{rename("/etc/none", "/etc/none2")}; }, "EPERM", true},
    {"bind", [] { return long{bind(0, nullptr, 0)}; }, "EPERM"},
    {"a signal to another process", [] { return long{kill(getppid(), 0)}; }, "EPERM"},
    {"be dumpable again", [] { return long{prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)}; }, "EPERM"},
    {"core files again",
     [] {
       const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
       return long{setrlimit(RLIMIT_CORE, &all)};
     },
     "EPERM"},
    {"memory to run code in",
     [] {
       return mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                      MAP_FAILED
                  ? -1L
                  : 0L;
     },
     "EPERM"},
    {"memory made executable",
     [] {
       void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return page == MAP_FAILED ? 0L : long{mprotect(page, 4096, PROT_READ | PROT_EXEC)};
     },
     "EPERM"},
    {"clone3, so that the C library takes clone", [] { return syscall(SYS_clone3, nullptr, 0); },
     "ENOSYS"},
    {"read a file", [] { return long{::open("/etc/hostname", O_RDONLY | O_CLOEXEC)}; }, "ok"},
    {"a thread",
     [] {
       std::thread([] { sched_yield(); }).join();
       return 0L;
     },
     "ok"},
    {"abort", []() -> long { abort(); }, "killed by SIGABRT"},
};

// The output of `systemd-analyze syscall-filter`: sets by name, with their members.
std::map<std::string, std::vector<std::string>> systemd_sets() {
  std::map<std::string, std::vector<std::string>> sets;
  FILE* pipe = popen("systemd-analyze --no-pager syscall-filter", "r");
  REQUIRE(pipe != nullptr);
  char line[256];
  std::string set;
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    std::istringstream words(line);
    std::string word;
    if (!(words >> word) || word[0] == '#') continue;
    if (line[0] == '@') {
      set = word;
    } else if (line[0] == ' ') {
      sets[set].push_back(word);
    }
  }
  REQUIRE(pclose(pipe) == 0);
  return sets;
}

// The calls that the unit's SystemCallFilter= lines allow, read as systemd reads them. The first
// line makes the list one of allowed calls; `~` removes calls.
std::set<std::string> allowed_by_unit(const std::string& path) {
  const auto sets = systemd_sets();
  std::set<std::string> allowed;
  const std::function<void(const std::string&, bool)> apply = [&](const std::string& name,
                                                                  bool add) {
    if (name[0] == '@') {
      for (const auto& member : sets.at(name)) apply(member, add);
    } else if (add) {
      allowed.insert(name);
    } else {
      allowed.erase(name);
    }
  };
  apply("@default", true);  // systemd always adds it
  std::ifstream unit(path);
  REQUIRE(unit);
  constexpr std::string_view kKey = "SystemCallFilter=";
  for (std::string line; std::getline(unit, line);) {
    if (!line.starts_with(kKey)) continue;
    line.erase(0, kKey.size());
    const bool add = line[0] != '~';
    std::istringstream names(add ? line : line.substr(1));
    for (std::string name; names >> name;) apply(name, add);
  }
  return allowed;
}

}  // namespace

TEST_CASE("a child that serves can do its work and nothing else") {
  if (kSanitized) return;
  for (const Part part : {Part::Proxy, Part::Wire, Part::Filter, Part::Memory, Part::Desk}) {
    for (const auto& row : kOfAllChildren) {
      if (part == Part::Memory && row.is_file) continue;
      INFO(row.what << ", part " << static_cast<int>(part));
      CHECK(tried(part, row.call) == row.expected);
    }
  }
}

TEST_CASE("only the proxy opens connections, and only the filter removes its socket's path") {
  if (kSanitized) return;
  const Call connect_out = [] { return long{socket(AF_INET6, SOCK_STREAM, 0)}; };
  const Call take_away = [] { return long{unlink("/no/such/path")}; };
  CHECK(tried(Part::Proxy, connect_out) == "ok");
  CHECK(tried(Part::Wire, connect_out) == "EPERM");
  CHECK(tried(Part::Filter, connect_out) == "EPERM");
  CHECK(tried(Part::Desk, connect_out) == "EPERM");
  CHECK(tried(Part::Proxy, take_away) == "EPERM");
  CHECK(tried(Part::Wire, take_away) == "EPERM");
  CHECK(tried(Part::Desk, take_away) == "EPERM");
  CHECK(tried(Part::Filter, take_away) == "ENOENT");
}

TEST_CASE("only the memory process writes, moves and removes files") {
  if (kSanitized) return;
  const Call write_file = [] {
    const int file = ::open("/tmp/segmilter-seccomp-test", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || pwrite(file, "x", 1, 0) != 1 || ftruncate(file, 0) != 0) return -1L;
    if (fdatasync(file) != 0) return -1L;
    if (rename("/tmp/segmilter-seccomp-test", "/tmp/segmilter-seccomp-moved") != 0) return -1L;
    return long{unlink("/tmp/segmilter-seccomp-moved")};
  };
  CHECK(tried(Part::Memory, write_file) == "ok");
  CHECK(in_child([&] {
          process::confine(Part::Supervisor, {});
          process::confine(Part::Memory, {});
          return write_file() == -1 ? errno : 0;
        }) == "ok");
  CHECK(tried(Part::Filter, write_file) == "EPERM");
  CHECK(tried(Part::Desk, write_file) == "EPERM");
  CHECK(tried(Part::Memory, [] { return long{socket(AF_INET, SOCK_STREAM, 0)}; }) == "EPERM");
}

TEST_CASE("the supervisor forks and starts a program, and can do no more than that") {
  if (kSanitized) return;
  const Row rows[] = {
      {"execve, with all that the loader does", execute, "ok"},
      {"fork",
       [] {
         const pid_t pid = fork();
         if (pid == 0) _exit(0);
         return long{waitpid(pid, nullptr, 0)};
       },
       "ok"},
      {"end a child", [] { return long{kill(getpid(), 0)}; }, "ok"},
      {"look at the maps that an upgrade hands over",
       [] { return syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, nullptr, 0); }, "EINVAL"},
      {"ptrace", [] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr); },
       "killed by SIGSYS"},
      {"setuid", [] { return long{setuid(0)}; }, "killed by SIGSYS"},
      {"mount", [] { return long{mount("none", "/mnt", "tmpfs", 0, nullptr)}; },
       "killed by SIGSYS"},
      {"a packet socket", [] { return long{socket(AF_PACKET, SOCK_RAW, 0)}; }, "EPERM"},
      {"a namespace by clone", [] { return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0); },
       "EPERM"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    CHECK(tried(Part::Supervisor, row.call) == row.expected);
  }
}

TEST_CASE("a child adds its own list to the supervisor's") {
  if (kSanitized) return;
  for (const Part part : {Part::Proxy, Part::Wire, Part::Filter, Part::Memory, Part::Desk}) {
    CHECK(in_child([part] {
            process::confine(Part::Supervisor, {});
            process::confine(part, {});
            return fork() == -1 ? errno : 0;
          }) == "EPERM");
  }
}

TEST_CASE("a proxy that connects from its clients' addresses may bind, and not listen") {
  if (kSanitized) return;
  const auto confined = [](auto call) {
    return in_child([call] {
      config::Config config;
      config.proxy.upstream_protocol = config::Proxy::Protocol::Transparent;
      process::confine(Part::Proxy, config);
      return call() < 0 ? errno : 0;
    });
  };
  CHECK(confined([] { return bind(-1, nullptr, 0); }) == strerrorname_np(EBADF));
  CHECK(confined([] { return listen(-1, 1); }) == strerrorname_np(EPERM));
}

TEST_CASE("general.seccomp = false restricts nothing") {
  CHECK(in_child([] {
          config::Config config;
          config.general.seccomp = false;
          process::confine(Part::Proxy, config);
          return prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
        }) == "ok");
}

TEST_CASE("a process serves even if the kernel refuses the list") {
  if (kSanitized) return;
  CHECK(in_child([] {
          // This list plays a kernel that knows neither of the two calls.
          const scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
          seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0);
          seccomp_rule_add(context, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
                           SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
          if (seccomp_load(context) != 0) return EIO;
          process::confine(Part::Proxy, {});
          return ::open("/dev/null", O_WRONLY) == -1 ? errno : 0;
        }) == "ok");
}

TEST_CASE("the library knows all calls in the lists") {
  for (const Part part :
       {Part::Supervisor, Part::Proxy, Part::Wire, Part::Filter, Part::Memory, Part::Desk}) {
    for (const auto& name : process::allowed_calls(part)) {
      INFO(name);
      CHECK(seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR);
    }
  }
}

TEST_CASE("the systemd unit allows all calls that the lists allow") {
  const auto unit = allowed_by_unit(SEGMILTER_UNIT);
  CHECK(unit.contains("bpf"));
  CHECK_FALSE(unit.contains("ptrace"));
  for (const Part part :
       {Part::Supervisor, Part::Proxy, Part::Wire, Part::Filter, Part::Memory, Part::Desk}) {
    for (const auto& name : process::allowed_calls(part)) {
      INFO(name);
      CHECK(unit.contains(name));
    }
  }
}
