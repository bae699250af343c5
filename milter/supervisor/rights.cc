#include "milter/supervisor/rights.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "milter/log/log.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"
#include "milter/process/setup_error.h"

namespace supervisor {
namespace {

// getpwnam and getgrnam without _r: they are called before there are threads.
gid_t find_group(const std::string& name, std::string_view key) {
  const group* found = getgrnam(name.c_str());
  if (found == nullptr) {
    throw process::SetupError(EX_CONFIG,
                              fmt::format("{}: there is no group \"{}\" (`addgroup --system {}` "
                                          "creates it, or set another group)",
                                          key, name, name));
  }
  return found->gr_gid;
}

// Changes owner and mode by descriptor and without following a link: between mkdir and chown
// another file could take that name.
void make_folder(const std::string& folder, mode_t mode, uid_t uid, gid_t gid) {
  if (mkdir(folder.c_str(), 0700) < 0) {
    if (errno == EEXIST) return;
    const int error = errno;
    const auto parent = net::folder_of(folder);
    throw process::SetupError(
        EX_OSERR, fmt::format("create the folder {}: {}{}", folder, std::strerror(error),
                              error == ENOENT ? fmt::format(" (create {} first; if it belongs to "
                                                            "Postfix: is Postfix installed?)",
                                                            parent)
                                              : ""));
  }
  const std::string attempt = "hand over the folder " + folder;
  const net::Fd fd(
      net::check(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), attempt));
  net::check(fchown(fd.get(), uid, gid), attempt);
  net::check(fchmod(fd.get(), mode), attempt);
}

// Mail is labelled without the store too. So a folder that cannot be made is only a warning here;
// the memory process then logs that it cannot write.
void make_memory_folder(const config::Memory& memory, const Account& account) {
  if (!memory.enabled) return;
  try {
    make_folder(memory.folder, 0750, account.uid, account.gid);
  } catch (const std::exception& error) {
    logging::warning(fmt::format("memory.folder: {}", error.what()));
  }
}

// As above: the desk then logs that it cannot bind its socket.
void make_desk_folder(const config::Desk& desk, const Account& account) {
  if (desk.socket.empty()) return;
  try {
    make_folder(net::folder_of(desk.socket), 0755, account.uid, account.gid);
  } catch (const std::exception& error) {
    logging::warning(fmt::format("desk.socket: its folder cannot be made: {}", error.what()));
  }
}

// Sets the user's own groups and the group of the milter socket.
void set_groups(const std::string& user, const Account& account) {
  net::check(initgroups(user.c_str(), account.gid), "set the groups of " + user);
  std::vector<gid_t> groups(net::check(getgroups(0, nullptr), "getgroups"));
  groups.resize(net::check(getgroups(static_cast<int>(groups.size()), groups.data()), "getgroups"));
  groups.push_back(account.socket_gid);
  net::check(setgroups(groups.size(), groups.data()), "set the groups of " + user);
}

// In a container root may lack CAP_SETPCAP. The bounding set then stays, and "no new privileges"
// makes it useless.
capng_flags_t bounding_flag() {
  capng_get_caps_process();
  const bool may = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
  return may ? CAPNG_CLEAR_BOUNDING : CAPNG_NO_FLAG;
}

void become(const std::string& user, const Account& account) {
  set_groups(user, account);
  const auto flag = bounding_flag();
  capng_clear(CAPNG_SELECT_ALL);
  const int result =
      capng_change_id(static_cast<int>(account.uid), static_cast<int>(account.gid), flag);
  if (result != 0) {
    throw process::SetupError(
        EX_OSERR,
        fmt::format("become the user {} (uid {}): libcap-ng error {}", user, account.uid, result));
  }
}

// The systemd unit starts the program with ambient capabilities. They are in four sets, and "no new
// privileges" alone would leave them there. Without CAP_SETPCAP the bounding set stays. It only
// limits what an exec could gain, and by then an exec gains nothing.
void give_up_capabilities() {
  const bool bounds = bounding_flag() == CAPNG_CLEAR_BOUNDING;
  capng_clear(CAPNG_SELECT_ALL);
  const int sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT | (bounds ? CAPNG_SELECT_BOUNDS : 0);
  const int result = capng_apply(static_cast<capng_select_t>(sets));
  if (result != 0) {
    throw process::SetupError(EX_OSERR,
                              fmt::format("give up capabilities: libcap-ng error {}", result));
  }
}

void harden() {
  net::check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
  const rlimit none{0, 0};
  net::check(setrlimit(RLIMIT_CORE, &none), "switch core files off");
  // A core handler in user space (core_pattern with a pipe) ignores the limit, but not this flag.
  net::check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "set undumpable");
  rlimit files{};
  net::check(getrlimit(RLIMIT_NOFILE, &files), "read the limit of open files");
  files.rlim_cur = files.rlim_max;
  net::check(setrlimit(RLIMIT_NOFILE, &files), "raise the limit of open files");
}

}  // namespace

Account find_account(const config::Config& config) {
  const auto& user = config.general.user;
  const passwd* found = getpwnam(user.c_str());
  if (found == nullptr) {
    throw process::SetupError(
        EX_CONFIG, fmt::format("general.user: there is no user \"{0}\" (`systemd-sysusers` creates "
                               "the user segmilter, `adduser --system --group {0}` any other)",
                               user));
  }
  Account account{found->pw_uid, found->pw_gid, found->pw_gid};
  const auto& group = config.general.group;
  if (!group.empty()) account.gid = account.socket_gid = find_group(group, "general.group");
  const auto& socket_group = config.filter.socket_group;
  const auto& policy = config.policy_service.socket;
  if (!socket_group.empty() && (config.filter.socket.is_unix() || (policy && policy->is_unix()))) {
    account.socket_gid = find_group(socket_group, "filter.socket_group");
  }
  return account;
}

void prepare_folders(const config::Config& config, const Account& account) {
  if (!config.proxy.listen.empty() || !config.wire.ports.empty()) {
    make_folder(net::folder_of(config.evidence.socket), 0755, account.uid, account.gid);
  }
  // Only Postfix's group may enter. The mode of the socket itself restricts further.
  const auto make_postfix_folder = [&account](const config::MilterSocket& socket) {
    if (!socket.is_unix()) return;
    make_folder(net::folder_of(socket.path), 02750, account.uid, account.socket_gid);
  };
  make_postfix_folder(config.filter.socket);
  if (config.policy_service.socket) make_postfix_folder(*config.policy_service.socket);
  make_memory_folder(config.memory, account);
  make_desk_folder(config.desk, account);
}

void drop(const config::Config& config) {
  if (geteuid() == 0) {
    const auto account = find_account(config);
    prepare_folders(config, account);
    if (account.uid != 0) become(config.general.user, account);
  }
  give_up_capabilities();
  harden();
}

}  // namespace supervisor
