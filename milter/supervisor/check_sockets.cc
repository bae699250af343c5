#include "milter/supervisor/check_sockets.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "milter/filter/socket.h"
#include "milter/net/unix_socket.h"
#include "milter/process/setup_error.h"
#include "milter/supervisor/next_step.h"

namespace supervisor {
namespace {

// root makes the folder itself (rights.h); for any other user it must already exist.
void check_folder(const std::string& path, const std::string& setting, const std::string& user,
                  const std::string& group, unsigned mode) {
  const auto folder = net::folder_of(path);
  if (geteuid() == 0 || access(folder.c_str(), W_OK | X_OK) == 0) return;
  const int error = errno;
  throw process::SetupError(
      error == ENOENT ? EX_OSERR : EX_NOPERM,
      fmt::format("{}: the folder {}: {}{}", setting, folder, std::strerror(error),
                  next_step_folder(folder, user, group, mode)));
}

void check_unix(const std::string& path, const std::string& setting) {
  try {
    net::check_unclaimed(path, setting + ": " + path);
  } catch (const std::system_error& error) {
    const bool taken = error.code() == std::errc::address_in_use;
    throw process::SetupError(
        EX_UNAVAILABLE,
        error.what() + std::string(taken ? " (another segmilter runs: stop it with `systemctl stop "
                                           "segmilter`, or set other sockets for this one)"
                                         : ""));
  }
}

void check_inet(const config::MilterSocket& socket, const std::string& setting) {
  try {
    filter::check_place(socket, setting);
  } catch (const std::system_error& error) {
    const bool taken = error.code() == std::errc::address_in_use;
    const bool forbidden = is_forbidden(error.code());
    std::string next;
    if (taken) next = next_step_taken(*socket.address(), setting);
    if (forbidden) next = next_step_rights("CAP_NET_BIND_SERVICE");
    throw process::SetupError(forbidden ? EX_NOPERM : EX_UNAVAILABLE, error.what() + next);
  }
}

// A socket that Postfix asks.
void check_postfix_socket(const config::Config& config, const config::MilterSocket& socket,
                          const std::string& setting) {
  if (!socket.is_unix()) return check_inet(socket, setting);
  const auto& user = config.general.user;
  const auto& group = config.filter.socket_group;
  check_folder(socket.path, setting, user, group.empty() ? user : group, 02750);
  check_unix(socket.path, setting);
}

}  // namespace

void check_evidence_socket(const config::Config& config) {
  const auto& user = config.general.user;
  check_folder(config.evidence.socket, "evidence.socket", user, user, 0755);
  check_unix(config.evidence.socket, "evidence.socket");
}

void check_filter_socket(const config::Config& config) {
  check_postfix_socket(config, config.filter.socket, "filter.socket");
}

void check_policy_socket(const config::Config& config) {
  check_postfix_socket(config, *config.policy_service.socket, "policy_service.socket");
}

}  // namespace supervisor
