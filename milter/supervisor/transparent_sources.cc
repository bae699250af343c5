#include "milter/supervisor/transparent_sources.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <system_error>

#include "milter/net/connect_as.h"
#include "milter/net/server_socket.h"
#include "milter/net/transparent_sockets.h"
#include "milter/process/setup_error.h"
#include "milter/supervisor/next_step.h"

namespace supervisor {
namespace {

constexpr const char* kSetting = "proxy.upstream_protocol \"transparent\"";

net::Fd open_source(bool v4) {
  try {
    return net::open_transparent_source(v4, fmt::format("{}: open a transparent socket", kSetting));
  } catch (const std::system_error& error) {
    const bool forbidden = is_forbidden(error.code());
    throw process::SetupError(forbidden ? EX_NOPERM : EX_UNAVAILABLE,
                              error.what() + (forbidden ? next_step_rights("CAP_NET_ADMIN") : ""));
  }
}

void check_way(const net::Fd& source) {
  const auto missing = net::why_not_transparent(source);
  if (missing.empty()) return;
  throw process::SetupError(EX_UNAVAILABLE,
                            fmt::format("{}: {} (set the routing rules with `segmilter nft "
                                        "--routing | sh -e`)",
                                        kSetting, missing));
}

bool is_source(int fd) {
  int listening = 0;
  socklen_t size = sizeof listening;
  const auto address = net::bound_to(fd);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0 &&
         address && address->is_loopback();
}

}  // namespace

Sources open_sources(const config::Proxy& config, const std::vector<net::Endpoint>& listening,
                     std::size_t workers) {
  if (!config.is_transparent()) return {};
  Sources sources(workers);
  for (const bool v4 : {true, false}) {
    if (!net::has_family(listening, v4)) continue;
    for (auto& row : sources) row.push_back(open_source(v4));
    check_way(sources.front().back());
  }
  return sources;
}

Sources adopt_sources(const config::Proxy& config, const Handover& handover) {
  if (config.is_transparent() == handover.sources.empty()) {
    throw process::SetupError(EX_UNAVAILABLE,
                              "proxy.upstream_protocol: the previous program had another one: a "
                              "restart is needed");
  }
  Sources sources;
  for (const auto& left : handover.sources) {
    auto& row = sources.emplace_back();
    for (const int fd : left) {
      if (!is_source(fd)) {
        throw process::SetupError(EX_UNAVAILABLE,
                                  fmt::format("{}: the sockets that the previous program left "
                                              "are others: a restart is needed",
                                              kSetting));
      }
      (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
      row.emplace_back(fd);
    }
  }
  return sources;
}

}  // namespace supervisor
