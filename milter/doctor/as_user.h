// Runs a function with another user's rights, to find out whether that user is permitted to do it.
// The function runs in a child process that has no other rights.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace doctor {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string group;          // the name of gid
  std::vector<gid_t> groups;  // all of the user's groups, as initgroups() would set them
};

// nullopt: there is no such user.
std::optional<Account> find_account(const std::string& user);
std::string group_name(gid_t gid);

struct Place {
  std::string root;       // the child's chroot; empty: none
  std::string directory;  // the child's working directory after the chroot; empty: unchanged
};

// Requires: the caller is root and has one thread. Returns what `act` returned (0 to 255). nullopt:
// the child could not become the user, or `act` took longer than `limit` and was killed.
std::optional<int> as_user(const Account& account, const Place& place, std::chrono::seconds limit,
                           const std::function<int()>& act);

// Which bits of a file's mode apply to the account (the owner's, the group's or the others'), and
// whether they grant all of `wanted` (the sum of 4 read, 2 write, 1 execute). Access control lists
// are not considered.
struct Access {
  char who = 'o';  // 'u', 'g' or 'o', as in chmod
  bool granted = false;
};
Access access_for(const Account& account, mode_t mode, uid_t owner, gid_t group, unsigned wanted);

}  // namespace doctor
