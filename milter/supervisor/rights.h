// What a program that was started as root gives up before it reads a byte from a stranger.
#pragma once

#include "milter/config/config.h"

namespace supervisor {

// The account that the processes run as.
struct Account {
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned socket_gid = 0;  // filter.socket_group; if that is empty, gid
};

// Throws SetupError (EX_CONFIG) which names the setting whose user or group does not exist.
Account find_account(const config::Config& config);

// Makes the folder of each unix socket and the folder of the store for the account, if the folder
// does not exist. A folder that exists is left as it is. Throws SetupError or std::system_error; a
// folder of the store that cannot be made is a warning in the log.
void prepare_folders(const config::Config& config, const Account& account);

// As root: makes the sockets' folders and becomes general.user. The group of the milter socket
// becomes a supplementary group, so that the process may give it to the socket. As any other user
// it stays that user. In both cases it keeps no capability in any set. It also sets: no new
// privileges, no core files (they would hold mail), and as many descriptors as allowed. Throws
// SetupError or std::system_error.
void drop(const config::Config& config);

}  // namespace supervisor
