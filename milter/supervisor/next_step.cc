#include "milter/supervisor/next_step.h"

#include <cap-ng.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <vector>

#include "milter/net/sockets.h"
#include "text/ascii.h"

namespace supervisor {
namespace {

constexpr unsigned kListening = 10;  // TCP_LISTEN in the kernel's table of sockets

bool is_any(const net::Endpoint& address) {
  const auto text = address.print_address();
  return text == "0.0.0.0" || text == "::";
}

// Whether a socket that listens at `held` prevents another one at `wanted`. A socket at "::" may
// also take IPv4.
bool clashes(const net::Endpoint& held, const net::Endpoint& wanted) {
  if (held.port() != wanted.port()) return false;
  if (held == wanted || held.print_address() == "::") return true;
  return held.is_v4() == wanted.is_v4() && (is_any(held) || is_any(wanted));
}

std::optional<net::Process> holder(const net::Endpoint& address) {
  for (const auto& socket : net::tcp_sockets()) {
    if (socket.state != kListening || !clashes(socket.local, address)) continue;
    for (auto& process : net::owners(socket.inode)) return std::move(process);
  }
  return std::nullopt;
}

// Decides by the program's name: Postfix's listener belongs to its process `master`.
std::string_view what_to_do(const net::Process& process) {
  if (process.is_segmilter()) {
    return "another segmilter runs: stop it with `systemctl stop segmilter`, or set";
  }
  if (process.program == "master") {
    return "Postfix has that port: move its smtpd as examples/postfix/listen shows, or set";
  }
  return "stop it, or set";
}

}  // namespace

std::string next_step_taken(const net::Endpoint& address, std::string_view setting) {
  const auto process = holder(address);
  if (!process) {
    return fmt::format(
        " (as root, `ss -ltnp 'sport = :{}'` shows the program that uses it; stop that program, or "
        "set another address in {})",
        address.port(), setting);
  }
  return fmt::format(" (by {}, pid {}; {} another address in {})", process->program, process->pid,
                     what_to_do(*process), setting);
}

std::string next_step_rights(std::string_view wanted) {
  capng_get_caps_process();
  std::istringstream words{std::string(wanted)};
  std::string missing;
  for (std::string word; words >> word;) {
    auto name = word.substr(std::string_view("CAP_").size());
    std::transform(name.begin(), name.end(), name.begin(), text::lower);
    const int number = capng_name_to_capability(name.c_str());
    if (number >= 0 && capng_have_capability(CAPNG_EFFECTIVE, static_cast<unsigned>(number)) != 0)
      continue;
    missing += (missing.empty() ? "" : " and ") + word;
  }
  if (missing.empty()) return "";
  return fmt::format(
      " (this needs {}: start segmilter with `systemctl start segmilter`, which grants it, or as "
      "root)",
      missing);
}

std::string next_step_folder(const std::string& folder, const std::string& user,
                             const std::string& group, unsigned mode) {
  // These folders are made by packaging/tmpfiles.d.
  if (user == "segmilter" &&
      (folder == "/run/segmilter" || folder == "/var/spool/postfix/segmilter")) {
    return " (`systemd-tmpfiles --create segmilter.conf` creates it; Postfix has to be installed "
           "before that)";
  }
  return fmt::format(" (as root, `install -d -o {} -g {} -m {:o} {}` creates it)", user, group,
                     mode, folder);
}

}  // namespace supervisor
