// A file to read, or standard input: its first bytes can be looked at without being used up, and it
// counts what was read. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "milter/net/fd.h"

namespace offline {

// What is done while a pipe, a socket or a terminal has nothing to read, and what ends the reading.
// Descriptors are borrowed; -1: none.
struct Waiting {
  std::function<void()> before;  // called before it waits, from the reading thread; may be empty
  int stop = -1;                 // readable: the input ends here, whatever it is
  int peer = -1;                 // a pipe's writing end; when its reader has gone, so too
};

class Input {
 public:
  // "-" is standard input. Throws std::system_error when it cannot be opened or read. Requires:
  // `waiting` outlives it.
  Input(const std::string& file, const Waiting& waiting);

  std::string_view head() const { return head_; }  // up to 64 bytes
  std::uint64_t size() const { return size_; }     // 0: not known
  std::uint64_t read_bytes() const { return read_; }
  bool regular() const { return regular_; }  // a file, and no pipe, socket or terminal
  bool stopped() const { return stopped_; }  // it ended by Waiting, before its end was read

  // The next bytes, from the first one on: what is there, at least one; 0 at the end. Nobody waits
  // for the buffer to be full. Throws std::system_error.
  std::size_t read(std::span<char> buffer);

 private:
  bool wait();
  ssize_t read_behind_head(char* buffer, std::size_t size);

  const Waiting& waiting_;
  net::Fd fd_;
  std::string head_;
  std::size_t head_used_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;
  bool regular_ = false;
  bool stopped_ = false;
};

}  // namespace offline
