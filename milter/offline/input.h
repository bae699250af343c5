// A file or standard input. Its first bytes can be examined before they are read, and it counts the
// bytes that were read. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "milter/net/fd.h"

namespace offline {

// What happens while a pipe, a socket or a terminal has nothing to read, and which events end the
// reading. The descriptors are borrowed; -1: none.
struct Waiting {
  std::function<void()> before;  // called by the reading thread before it waits; may be empty
  int stop = -1;                 // when it becomes readable, an input of any kind ends
  int peer = -1;                 // a pipe's writing end; when its reader is gone, the input ends
};

class Input {
 public:
  // "-" is standard input. Throws std::system_error if the file cannot be opened or read. Requires:
  // `waiting` lives longer than this object.
  Input(const std::string& file, const Waiting& waiting);

  std::string_view head() const { return head_; }  // up to 64 bytes
  std::uint64_t size() const { return size_; }     // of a file; 0: not known
  std::uint64_t read_bytes() const { return read_; }
  bool regular() const { return regular_; }  // true for a file, false for a pipe, socket, terminal
  bool stopped() const { return stopped_; }  // Waiting ended the input before its end was read

  // Reads the next bytes, starting with the first byte of the input. Returns the available bytes,
  // at least one, without waiting for a full buffer; 0 at the end. Throws std::system_error.
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
