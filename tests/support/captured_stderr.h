// Captures everything that is written to stderr during its lifetime, for tests of log lines.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "milter/net/fd.h"

namespace support {

class CapturedStderr {
 public:
  CapturedStderr() : before_(dup(STDERR_FILENO)), file_(std::tmpfile()) {
    dup2(fileno(file_), STDERR_FILENO);
  }
  ~CapturedStderr() {
    dup2(before_.get(), STDERR_FILENO);
    std::fclose(file_);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  std::string text() const {
    std::string result(static_cast<std::size_t>(lseek(fileno(file_), 0, SEEK_END)), '\0');
    REQUIRE(pread(fileno(file_), result.data(), result.size(), 0) >= 0);
    return result;
  }

 private:
  net::Fd before_;
  std::FILE* file_;
};

}  // namespace support
