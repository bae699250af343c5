// What a program that was started as root gives away before it reads a byte of a stranger.
#pragma once

#include "milter/config/config.h"

namespace supervisor {

// The account that the processes run as.
struct Account {
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned socket_gid = 0;  // filter.socket_group; as gid where it is empty
};

// Throws SetupError (EX_CONFIG) that names the setting whose user or group does not exist.
Account find_account(const config::Config& config);

// Makes the folder of each unix socket, if it is not there, for the account. What is there stays as
// it is. Throws SetupError or std::system_error.
void prepare_folders(const config::Config& config, const Account& account);

// As root: becomes general.user (with the group of the milter socket as a supplementary one, so
// that it may give it to the socket), after making the sockets' folders. As anyone else it stays
// who it is. In both cases it keeps no capability, in none of the sets. No new privileges, no core
// files (they would hold mail), as many descriptors as allowed. Throws SetupError or
// std::system_error.
void drop(const config::Config& config);

}  // namespace supervisor
