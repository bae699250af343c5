// Which addresses and networks `segmilter forget` wants to be forgotten by the memory process too,
// which alone may write the table of reputations. They wait in a file of the store's folder until
// the process takes them, within a second; if it does not run, until it is started.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "milter/net/address.h"

namespace memory {

inline constexpr std::string_view kForgetRequests = "forget.requests";

// Throws std::system_error.
void request_to_forget(const std::string& folder, const net::Network& who);

// Takes what is there, and removes the file. A file that is not made of networks, one on a line, is
// removed too, with an error in the log.
std::vector<net::Network> take_forget_requests(const std::string& folder);

}  // namespace memory
