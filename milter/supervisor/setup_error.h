// Set-up failed, and which exit code says so. Where no code is better than another, functions throw
// std::system_error, which becomes EX_OSERR.
#pragma once

#include <sysexits.h>

#include <stdexcept>
#include <string>
#include <system_error>

namespace supervisor {

class SetupError : public std::runtime_error {
 public:
  SetupError(int code, const std::string& what) : std::runtime_error(what), code_(code) {}
  int code() const { return code_; }  // of sysexits.h

 private:
  int code_;
};

// For an address that cannot be listened on.
inline SetupError no_listener(const std::system_error& error) {
  const bool forbidden = error.code() == std::errc::permission_denied;
  return {forbidden ? EX_NOPERM : EX_UNAVAILABLE, error.what()};
}

}  // namespace supervisor
