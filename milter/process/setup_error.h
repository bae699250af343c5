// Set-up failed, and which exit code says so. Where no code is better than another, functions throw
// std::system_error, which becomes EX_OSERR.
#pragma once

#include <stdexcept>
#include <string>

namespace process {

class SetupError : public std::runtime_error {
 public:
  SetupError(int code, const std::string& what) : std::runtime_error(what), code_(code) {}
  int code() const { return code_; }  // of sysexits.h

 private:
  int code_;
};

}  // namespace process
