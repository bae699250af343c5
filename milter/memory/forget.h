// `segmilter forget`: deletes the rows of an address or of a network from the store, and overwrites
// the bytes that they had. It works beside the memory process, which waits for it some milliseconds
// and forgets the reputation of the address or the network too (forget_requests.h).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "milter/config/config.h"

namespace memory {

struct Forgotten {
  std::size_t rows = 0;
  std::size_t files = 0;              // that were looked at
  std::vector<std::string> problems;  // "FILE: …" for each file that could not be worked on
};

// `who`: "192.0.2.7", "2001:db8::7", "192.0.2.0/24". A row that no longer has an address, only a
// network, is deleted if `who` covers that whole network. The totals of the hours stay, because
// they have no address. Each form in which a
// row may have the address is looked for, by all keys of memory.key_file. With keyed addresses a
// network has to be an IPv4 /24 or an IPv6 /48. Throws std::invalid_argument, which says why `who`
// is none of these, std::runtime_error for a key file that cannot be read, std::system_error, and what
// request_to_forget() throws; then the rows are deleted all the same.
Forgotten forget(const config::Memory& settings, const std::string& who);

}  // namespace memory
