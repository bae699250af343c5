#include "milter/doctor/as_user.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "milter/net/fd.h"

namespace doctor {

std::string group_name(gid_t gid) {
  const group* found = getgrgid(gid);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

std::optional<Account> find_account(const std::string& user) {
  const passwd* found = getpwnam(user.c_str());
  if (found == nullptr) return std::nullopt;
  Account account{user, found->pw_uid, found->pw_gid, {}, {}};
  account.group = group_name(account.gid);
  int count = 256;
  account.groups.resize(static_cast<std::size_t>(count));
  if (getgrouplist(user.c_str(), account.gid, account.groups.data(), &count) < 0) count = 0;
  account.groups.resize(static_cast<std::size_t>(count));
  return account;
}

namespace {

bool become(const Account& account, const Place& place) {
  if (setgroups(account.groups.size(), account.groups.data()) < 0) return false;
  if (!place.root.empty() && chroot(place.root.c_str()) < 0) return false;
  if (!place.directory.empty() && chdir(place.directory.c_str()) < 0) return false;
  return setgid(account.gid) == 0 && setuid(account.uid) == 0;
}

}  // namespace

std::optional<int> as_user(const Account& account, const Place& place, std::chrono::seconds limit,
                           const std::function<int()>& act) {
  const pid_t child = fork();
  net::check(child, "start a child");
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(static_cast<unsigned>(limit.count()));
    if (!become(account, place)) raise(SIGKILL);
    _exit(act());
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
}

Access access_for(const Account& account, mode_t mode, uid_t owner, gid_t group, unsigned wanted) {
  const auto granted = [&](unsigned shift) { return ((mode >> shift) & wanted) == wanted; };
  if (account.uid == owner) return {'u', granted(6)};
  const auto& groups = account.groups;
  const bool member =
      account.gid == group || std::find(groups.begin(), groups.end(), group) != groups.end();
  return member ? Access{'g', granted(3)} : Access{'o', granted(0)};
}

}  // namespace doctor
