// Does something as another user would, to see whether that user can: in a child that has the
// user's rights and no other.
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
  std::vector<gid_t> groups;  // all of them, as after initgroups()
};

// nullopt: there is no such user.
std::optional<Account> find_account(const std::string& user);
std::string group_name(gid_t gid);

struct Place {
  std::string root;       // chroot to it; empty: no chroot
  std::string directory;  // then the working directory
};

// Requires: root, one thread. What `act` returned (0 to 255); nullopt: it could not become the user
// or took longer than `limit`.
std::optional<int> as_user(const Account& account, const Place& place, std::chrono::seconds limit,
                           const std::function<int()>& act);

// Which of read 4, write 2, execute 1 of a file's mode counts for the account: its owner's, its
// group's or the others'. Access control lists are not looked at.
struct Access {
  char who = 'o';  // 'u', 'g', 'o', as chmod spells it
  bool granted = false;
};
Access access_for(const Account& account, mode_t mode, uid_t owner, gid_t group, unsigned wanted);

}  // namespace doctor
