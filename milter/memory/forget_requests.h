// Which addresses and networks `segmilter forget` wants to be forgotten by the memory process too,
// which alone may write the table of reputations. They wait in a file of the store's folder until
// the process takes them, some at a time; if it does not run, until it is started.
//
//     forget.requests          one network on a line; commands add to it
//     forget.requests.taken    the same file while the process works through it. If the process
//                              dies meanwhile, the next one begins this file anew
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace memory {

inline constexpr std::string_view kForgetRequests = "forget.requests";

// No request is added to a file of this size: about 4000 wait in it.
inline constexpr off_t kMostForgetBytes = 64 * 1024;

// Throws std::system_error, and process::SetupError with EX_TEMPFAIL if the file is full: it becomes
// empty when the memory process runs.
void request_to_forget(const std::string& folder, const net::Network& who);

// The process's side: takes what waits, in the order in which it came. One thread.
class ForgetRequests {
 public:
  explicit ForgetRequests(const std::string& folder);

  // The next requests, at most `most`; none: nothing waits. A file that is worked through is
  // removed by the next call. Lines that are no networks are left out, with an error in the log for
  // the first of them. A file of any size is read, in pieces.
  std::vector<net::Network> take(std::size_t most);

 private:
  net::Fd open_next();
  std::vector<net::Network> networks_in(std::string_view piece, std::size_t most);

  const std::string file_, taken_;
  off_t done_ = 0;           // bytes of the file `taken_` that were worked through
  bool complained_ = false;  // of a line of it
};

}  // namespace memory
