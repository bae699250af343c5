// What an administrator can do when a start has failed: text in parentheses that follows the error.
// It reads /proc and must be called before the rights are dropped, because later the processes of
// other users cannot be seen.
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include "milter/net/address.h"

namespace supervisor {

// The kernel requires a right: EACCES for a port below 1024, EPERM for most other things.
inline bool is_forbidden(const std::error_code& error) {
  return error == std::errc::permission_denied || error == std::errc::operation_not_permitted;
}

// Another socket holds `address`: which process, and what to do about it. `setting`:
// "proxy.listen".
std::string next_step_taken(const net::Endpoint& address, std::string_view setting);

// Which of the capabilities in `wanted` this process lacks, and where they come from. `wanted`:
// names as in capabilities(7), with blanks between them. Empty: it has all of them.
std::string next_step_rights(std::string_view wanted);

// The folder of a socket does not exist, or `user` may not write to it.
std::string next_step_folder(const std::string& folder, const std::string& user,
                             const std::string& group, unsigned mode);

}  // namespace supervisor
