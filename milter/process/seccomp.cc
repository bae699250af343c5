#include "milter/process/seccomp.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "milter/log/log.h"

namespace process {
namespace {

// One call, or one way of calling it. A rule with several arguments matches if all of them match.
struct Rule {
  const char* call;
  std::vector<scmp_arg_cmp> arguments;
};

scmp_arg_cmp equal(unsigned index, std::uint64_t value) {
  return {.arg = index, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}

// The rule is (argument & mask) == value.
scmp_arg_cmp masked(unsigned index, std::uint64_t mask, std::uint64_t value) {
  return {.arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

using Names = std::initializer_list<const char*>;

// clang-format off
// The calls of every process: threads, memory, waiting, time, its own signals, reading and writing
// open files.
constexpr Names kEverybody = {
    // reading and writing
    "read", "readv", "pread64", "write", "writev", "close", "lseek", "fcntl", "dup", "recvfrom",
    "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "shutdown", "connect", "getsockopt",
    "setsockopt", "getsockname", "getpeername", "accept", "accept4", "socketpair", "pipe2",
    // waiting
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll",
    "select", "pselect6", "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    "nanosleep", "clock_nanosleep", "restart_syscall",
    // threads and memory
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "sched_yield",
    "sched_getaffinity", "membarrier", "brk", "munmap", "mremap", "madvise", "exit",
    "exit_group",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "rt_sigpending",
    "sigaltstack", "pause",
    // identity and time
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups",
    "uname", "sysinfo", "getrlimit", "getrusage", "getrandom", "clock_gettime", "clock_getres",
    "gettimeofday", "time", "times",
    // looking at files; openat has a rule below, for gaits at a reload and the time zone for syslog
    "stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getcwd",
};

// The filter unlinks the path of its socket when it stops, and may replace the socket by another.
constexpr Names kFilter = {"unlink", "unlinkat", "dup2", "dup3"};

// SQLite makes, writes, truncates and flushes files; the memory process also lists the folder,
// moves damaged files aside and removes old ones.
constexpr Names kMemory = {
    "open", "openat", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "fchmod",
    "fchown", "unlink", "unlinkat", "rename", "renameat", "renameat2", "getdents64", "statfs",
    "fstatfs", "umask",
};

// The desk lists the folder of the store. It opens files for reading only, as every process may.
constexpr Names kDesk = {"getdents64"};

// The supervisor prepares sockets with their modes, groups and folders, looks up names and
// accounts, starts and ends children, and starts a new program at an upgrade. There the dynamic
// loader runs first.
constexpr Names kSupervisor = {
    "bind", "listen", "unlink", "unlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "lchown", "fchownat", "umask", "mkdir", "mkdirat", "getdents64", "dup2", "dup3",
    "signalfd4", "wait4", "waitid", "kill", "tgkill", "setpgid", "setsid", "fork", "vfork",
    "execve", "mmap", "mprotect", "arch_prctl", "set_tid_address", "prctl", "capget", "capset",
    "seccomp", "prlimit64", "open", "openat", "rename", "renameat", "renameat2", "ftruncate",
    "fsync", "fdatasync", "flock", "statfs", "fstatfs", "pidfd_open", "pidfd_send_signal",
    "close_range", "memfd_create", "getpgrp", "getpgid", "getsid", "chdir", "fadvise64", "bpf",
    "sched_getparam", "sched_getscheduler", "fallocate", "pipe", "ioctl", "pwrite64",
};

// None of our processes calls these; injected code would. They end the process.
constexpr Names kDeadly = {
    "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root",
    "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "setns", "unshare",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setfsuid", "setfsgid", "setgroups", "keyctl", "add_key", "request_key", "perf_event_open",
    "userfaultfd", "io_uring_setup", "iopl", "ioperm", "modify_ldt", "open_by_handle_at",
    "mknod", "mknodat", "acct", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "sethostname", "setdomainname", "quotactl", "personality",
};
// clang-format on

// Only the supervisor may call these: at an upgrade it starts the new program, which then opens the
// maps of the kernel filters.
constexpr Names kDeadlyInChildren = {"execve", "execveat", "bpf"};

constexpr std::uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

std::vector<Rule> rules_for_all() {
  return {
      {"ioctl", {equal(1, FIONREAD)}},
      {"ioctl", {equal(1, FIONBIO)}},
      {"ioctl", {equal(1, TCGETS)}},
      {"socket", {equal(0, AF_UNIX)}},
      {"clone", {masked(0, CLONE_THREAD | kNamespaces, CLONE_THREAD)}},
  };
}

std::vector<Rule> rules_for_children() {
  constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
  const auto own = static_cast<std::uint64_t>(getpid());
  return {
      {"open", {masked(1, kWriting, O_RDONLY)}},
      {"openat", {masked(2, kWriting, O_RDONLY)}},
      // No memory may be both writable and executable code, so data from the network cannot be run.
      {"mmap", {masked(2, PROT_EXEC, 0)}},
      {"mprotect", {masked(2, PROT_EXEC, 0)}},
      {"tgkill", {equal(0, own)}},  // abort()
      {"prctl", {equal(0, PR_SET_NAME)}},
      {"prctl", {equal(0, PR_SET_VMA)}},
      {"prlimit64", {equal(2, 0)}},  // only reading a limit
  };
}

// `binds`: the proxy connects to Postfix from its clients' addresses.
std::vector<Rule> rules_for(Part part, bool binds) {
  auto rules = rules_for_all();
  const auto add = [&rules](Names names) {
    for (const char* name : names) rules.push_back({name, {}});
  };
  const auto add_rules = [&rules](const std::vector<Rule>& more) {
    rules.insert(rules.end(), more.begin(), more.end());
  };
  add(kEverybody);
  if (part != Part::Supervisor) add_rules(rules_for_children());
  switch (part) {
    case Part::Supervisor:
      add(kSupervisor);
      // The C library looks up names, and also asks for the network interfaces.
      add_rules({{"socket", {equal(0, AF_INET)}},
                 {"socket", {equal(0, AF_INET6)}},
                 {"socket", {equal(0, AF_NETLINK)}},
                 {"clone",
                  {masked(0,
                          CLONE_THREAD | CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID |
                              CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP,
                          0)}}});
      break;
    case Part::Proxy:
      add_rules({{"socket", {equal(0, AF_INET)}}, {"socket", {equal(0, AF_INET6)}}});
      // And still not listen: what it binds can only connect.
      if (binds) add({"bind"});
      break;
    case Part::Wire:
      break;
    case Part::Desk:
      add(kDesk);
      break;
    case Part::Filter:
      add(kFilter);
      break;
    case Part::Memory:
      add(kMemory);
      break;
  }
  return rules;
}

std::vector<const char*> deadly_for(Part part) {
  std::vector<const char*> names(kDeadly);
  if (part != Part::Supervisor) names.insert(names.end(), kDeadlyInChildren);
  return names;
}

struct ContextDeleter {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, ContextDeleter>;

// libseccomp returns -errno on failure.
void check(int result, std::string_view attempt) {
  if (result < 0) {
    throw std::system_error(-result, std::generic_category(),
                            fmt::format("seccomp filter: {}", attempt));
  }
}

void add(const Context& context, std::uint32_t action, const char* name,
         std::span<const scmp_arg_cmp> arguments) {
  const int call = seccomp_syscall_resolve_name(name);
  // The call is newer than the library or belongs to another architecture. The default (EPERM)
  // applies.
  if (call == __NR_SCMP_ERROR) return;
  check(seccomp_rule_add_array(context.get(), action, call, static_cast<unsigned>(arguments.size()),
                               arguments.data()),
        name);
}

Context make(Part part, bool binds) {
  Context context(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!context) throw std::bad_alloc();
  check(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
        "other architectures");
  // Refused calls are written to the audit log, which helps to find out why something fails.
  check(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_LOG, 1), "log");
  check(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "a tree of calls");
  for (const auto& rule : rules_for(part, binds))
    add(context, SCMP_ACT_ALLOW, rule.call, rule.arguments);
  for (const char* name : deadly_for(part)) add(context, SCMP_ACT_KILL_PROCESS, name, {});
  add(context, SCMP_ACT_ALLOW, "clone3", {});
  return context;
}

// The flags of clone3 are in memory, where seccomp cannot look. If clone3 fails with ENOSYS, the C
// library uses clone instead. This needs a list of its own: in the other list every new thread
// would be logged as a refused call.
Context make_without_clone3() {
  Context context(seccomp_init(SCMP_ACT_ALLOW));
  if (!context) throw std::bad_alloc();
  add(context, SCMP_ACT_ERRNO(ENOSYS), "clone3", {});
  return context;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace

std::vector<std::string> allowed_calls(Part part) {
  std::vector<std::string> names;
  for (const auto& rule : rules_for(part, true)) names.emplace_back(rule.call);
  return names;
}

void confine(Part part, const config::Config& config) {
  if (kSanitized) return;
  if (!config.general.seccomp) {
    logging::warning("general.seccomp is off: system calls are not restricted");
    return;
  }
  try {
    check(seccomp_load(make_without_clone3().get()), "load");
    check(seccomp_load(make(part, config.proxy.is_transparent()).get()), "load");
  } catch (const std::exception& error) {
    logging::warning(fmt::format("system calls are not restricted: {}", error.what()));
  }
}

}  // namespace process
