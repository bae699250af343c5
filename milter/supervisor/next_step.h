// What an administrator does next when a start has failed: text in parentheses behind the error.
// Looks at /proc, and is called before rights are dropped: later the processes of other users
// cannot be seen.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include "milter/net/address.h"

namespace supervisor {

// The kernel wants a right for it: EACCES for a port below 1024, EPERM for most else.
inline bool is_forbidden(const std::error_code& error) {
  return error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
}

// Somebody has `address`: who, and what to do about it. `setting`: "proxy.listen".
std::string next_step_taken(const net::Endpoint& address, std::string_view setting);

// It takes capabilities that this process does not have: which ones, and where they come from.
// `wanted`: names as in capabilities(7), with blanks between. Empty: it has them all.
std::string next_step_rights(std::string_view wanted);

// A socket's folder is not there, or is not for `user` to write to.
std::string next_step_folder(const std::string& folder, const std::string& user,
                             const std::string& group, unsigned mode);

}  // namespace supervisor
