// A file to read, or standard input: its first bytes can be looked at without being used up, and it
// counts what was read. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "milter/net/fd.h"

namespace offline {

class Input {
 public:
  // "-" is standard input. Throws std::system_error when it cannot be opened or read.
  explicit Input(const std::string& file);

  std::string_view head() const { return head_; }  // up to 64 bytes
  std::uint64_t size() const { return size_; }     // 0: not known
  std::uint64_t read_bytes() const { return read_; }

  // The next bytes, from the first one on: what is there, at least one; 0 at the end. Nobody waits
  // for the buffer to be full. Throws std::system_error.
  std::size_t read(std::span<char> buffer);
  // The same as a stream with a large buffer. The caller closes it. Requires: called once, nothing
  // was read yet; this outlives the stream.
  std::FILE* stream();

 private:
  static ssize_t on_read(void* self, char* buffer, std::size_t size);
  ssize_t read_some(char* buffer, std::size_t size);

  net::Fd fd_;
  std::string head_;
  std::size_t head_used_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;
  std::unique_ptr<char[]> buffer_;
};

}  // namespace offline
