// An error during set-up, with the exit code that fits it. If no code fits better than another,
// functions throw std::system_error, which becomes EX_OSERR.
#pragma once

#include <stdexcept>
#include <string>

namespace process {

class SetupError : public std::runtime_error {
 public:
  SetupError(int code, const std::string& what) : std::runtime_error(what), code_(code) {}
  int code() const { return code_; }  // one of sysexits.h

 private:
  int code_;
};

}  // namespace process
