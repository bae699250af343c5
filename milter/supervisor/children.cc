#include "milter/supervisor/children.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "milter/desk/desk.h"
#include "milter/evidence/server.h"
#include "milter/filter/filter.h"
#include "milter/filter/socket.h"
#include "milter/log/log.h"
#include "milter/memory/memory.h"
#include "milter/net/unix_socket.h"
#include "milter/process/setup_error.h"
#include "milter/proxy/proxy.h"
#include "milter/reputation/table.h"
#include "milter/supervisor/check_sockets.h"
#include "milter/supervisor/next_step.h"
#include "milter/wire/wire.h"

namespace supervisor {
namespace {

using std::chrono::seconds;

// The filter drains after the proxy, when no client is left there. What Postfix still has open are
// sessions of other services, and default_action=accept lets their mail through. 10 s was chosen,
// not measured: it only delays the end of the program.
seconds short_drain(const config::Config& config) {
  constexpr seconds kMost{10};
  return std::min(config.proxy.drain_timeout, kMost);
}

bool open_proxy(const config::Config& config, const Handover* handover, Opened& opened) {
  opened.proxy = handover != nullptr ? std::make_unique<ProxyParts>(config, *handover)
                                     : std::make_unique<ProxyParts>(config);
  return true;
}

bool open_tap(const config::Config& config, const Handover*, Opened& opened) {
  static_assert(config::Wire::kMostPorts == capture::WireTap::kMostPorts);
  try {
    opened.tap = std::make_unique<capture::WireTap>(
        capture::WireTap::Settings{.ports = config.wire.ports,
                                   .interface = config.wire.interface,
                                   .ring_bytes = config.capture.ring_bytes,
                                   .max_flows = config.wire.max_sessions});
  } catch (const std::exception& error) {
    const auto rights = next_step_rights("CAP_NET_RAW CAP_BPF CAP_PERFMON CAP_NET_ADMIN");
    throw process::SetupError(rights.empty() ? EX_UNAVAILABLE : EX_NOPERM,
                              fmt::format("wire.ports: {}{}", error.what(), rights));
  }
  return true;
}

bool open_nothing(const config::Config&, const Handover*, Opened&) {
  return true;
}

// SOCK_SEQPACKET keeps the boundaries between the sightings, and loses and repeats none.
bool open_memory(const config::Config&, const Handover* handover, Opened& opened) {
  // A table that the previous program has left is gone on with, if this program has the same kind.
  if (handover != nullptr) opened.reputations = net::Fd(handover->reputations);
  if (reputation::is_table(opened.reputations.get())) {
    (void)fcntl(opened.reputations.get(), F_SETFD, FD_CLOEXEC);
  } else {
    opened.reputations = reputation::make_table();
  }
  int ends[2];
  net::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "make a socket pair");
  opened.sightings_out = net::Fd(ends[0]);
  opened.sightings_in = net::Fd(ends[1]);
  // The first call needs CAP_NET_ADMIN; the second one gives net.core.wmem_max at most.
  constexpr int kBytes = memory::kSocketBytes;
  const int out = opened.sightings_out.get();
  if (setsockopt(out, SOL_SOCKET, SO_SNDBUFFORCE, &kBytes, sizeof kBytes) < 0) {
    (void)setsockopt(out, SOL_SOCKET, SO_SNDBUF, &kBytes, sizeof kBytes);
  }
  return true;
}

// The desk is optional: if its address cannot be bound, that is logged and the program starts
// without it.
bool open_desk(const config::Config& config, const Handover* handover, Opened& opened) {
  if (handover != nullptr && !handover->desk.empty()) {
    opened.desk = adopt_listeners(handover->desk, config.desk.listen, "desk.listen");
    return true;
  }
  try {
    opened.desk = desk::open_listeners(config.desk);
  } catch (const std::system_error& error) {
    std::string next;
    if (error.code() == std::errc::address_in_use) {
      next = next_step_taken(config.desk.listen.front(), "desk.listen");
    } else if (is_forbidden(error.code())) {
      next = next_step_rights("CAP_NET_BIND_SERVICE");
    }
    logging::error(fmt::format("no pages and no metrics at desk.listen until the next start: {}{}",
                               error.what(), next));
  }
  return !opened.desk.empty() || !config.desk.socket.empty();
}

constexpr ChildSocket kEvidenceSocket = {
    .setting = "evidence.socket",
    .wanted = [](const config::Config&) { return true; },
    .check = check_evidence_socket,
    .path = [](const config::Config& config) { return config.evidence.socket; },
    .bind =
        [](const config::Config& config) {
          return net::listen_unix(config.evidence.socket, config.evidence.socket_mode,
                                  evidence::Server::kBacklog, "create it again");
        },
};

// It is not checked before the start: mail does not need it. The desk logs why it has no socket.
constexpr ChildSocket kDeskSocket = {
    .setting = "desk.socket",
    .wanted = [](const config::Config& config) { return !config.desk.socket.empty(); },
    .check = [](const config::Config&) {},
    .path = [](const config::Config& config) { return config.desk.socket; },
    .bind = [](const config::Config& config) { return desk::open_socket(config.desk); },
};

std::string milter_path(const config::Config& config) {
  return config.filter.socket.path;
}

constexpr ChildSocket kMilterSocket = {
    .setting = "filter.socket",
    .wanted = [](const config::Config&) { return true; },
    .check = check_filter_socket,
    .path = milter_path,
    .bind =
        [](const config::Config& config) {
          const auto path = milter_path(config);
          auto socket = net::listen_unix(path, config.filter.socket_mode, filter::kMilterBacklog,
                                         "create it again");
          filter::give_to_group(path, config.filter.socket_group);
          return socket;
        },
};

constexpr ChildSocket kPolicySocket = {
    .setting = "policy_service.socket",
    .wanted = [](const config::Config& config) { return config.policy_service.socket.has_value(); },
    .check = check_policy_socket,
    .path = [](const config::Config& config) { return config.policy_service.socket->path; },
    .bind = filter::bind_policy_socket,
};

constexpr std::array kKinds = {
    ChildKind{
        .name = "proxy",
        .part = process::Part::Proxy,
        .wanted = [](const config::Config& config) { return !config.proxy.listen.empty(); },
        .not_wanted = "proxy.listen: names no address, so there is no proxy",
        .open = open_proxy,
        .keep = [](Opened& opened, Opened& own) { own.proxy = std::move(opened.proxy); },
        .has_keys = false,
        .sockets = {&kEvidenceSocket},
        .takes_clients = true,
        .needed = true,
        .drain_time = [](const config::Config& config) { return config.proxy.longest_drain(); },
        .describe = [](const Counts& counts) { return describe(counts.proxy); },
        .run = [](const process::Start& start, const Opened& own,
                  Counts& counts) { return proxy::run(start, own.proxy->inputs(), counts.proxy); },
    },
    ChildKind{
        .name = "wire",
        .part = process::Part::Wire,
        .wanted = [](const config::Config& config) { return !config.wire.ports.empty(); },
        .not_wanted = "wire.ports: names no port, so there is nothing to observe",
        .open = open_tap,
        .keep = [](Opened& opened, Opened& own) { own.tap = std::move(opened.tap); },
        .has_keys = false,
        .sockets = {&kEvidenceSocket},
        .takes_clients = false,
        .needed = true,
        .drain_time = short_drain,
        .describe = [](const Counts& counts) { return describe(counts.wire); },
        .run = [](const process::Start& start, const Opened& own,
                  Counts& counts) { return wire::run(start, *own.tap, counts.wire); },
    },
    ChildKind{
        .name = "filter",
        .part = process::Part::Filter,
        .wanted = [](const config::Config&) { return true; },
        .not_wanted = "",
        .open = open_nothing,
        .keep =
            [](Opened& opened, Opened& own) {
              own.sightings_out = std::move(opened.sightings_out);
              own.reputations = std::move(opened.reputations);
            },
        .has_keys = true,
        .sockets = {&kMilterSocket, &kPolicySocket},
        .takes_clients = false,
        .needed = true,
        .drain_time = short_drain,
        .describe =
            [](const Counts& counts) {
              auto families = describe(counts.filter);
              append(families, describe(counts.filter.policy_service));
              return families;
            },
        .run =
            [](const process::Start& start, const Opened& own, Counts& counts) {
              return filter::run(start, counts.filter,
                                 {own.sightings_out.get(), counts.memory, own.reputations.get(),
                                  counts.reputation});
            },
    },
    // Behind the filter: at a stop the filter is gone when memory writes what is left.
    ChildKind{
        .name = "memory",
        .part = process::Part::Memory,
        .wanted = [](const config::Config& config) { return config.memory.enabled; },
        .not_wanted = "memory.enabled: is false, so there is nothing to remember",
        .open = open_memory,
        .keep =
            [](Opened& opened, Opened& own) {
              own.sightings_in = std::move(opened.sightings_in);
              own.reputations = std::move(opened.reputations);
            },
        .has_keys = false,
        .sockets = {},
        .takes_clients = false,
        .needed = false,
        .drain_time = short_drain,
        .describe =
            [](const Counts& counts) {
              auto families = describe(counts.memory);
              append(families, describe(counts.reputation));
              return families;
            },
        .run =
            [](const process::Start& start, const Opened& own, Counts& counts) {
              return memory::run(start, {.sightings = own.sightings_in.get(),
                                         .reputations = own.reputations.get(),
                                         .counters = counts.memory,
                                         .reputation_counters = counts.reputation});
            },
    },
    ChildKind{
        .name = "desk",
        .part = process::Part::Desk,
        .wanted = [](const config::Config& config) { return config.desk.wanted(); },
        .not_wanted = "desk.listen and desk.socket: both are empty, so there is no desk",
        .open = open_desk,
        .keep = [](Opened& opened, Opened& own) { own.desk = std::move(opened.desk); },
        .has_keys = false,
        .sockets = {&kDeskSocket},
        .takes_clients = false,
        .needed = false,
        .drain_time = short_drain,
        .describe = nullptr,
        .run =
            [](const process::Start& start, const Opened& own, Counts& counts) {
              return desk::run(start, own.desk, describe(counts, start.config));
            },
    },
};
static_assert(kKinds.size() <= kMostChildren);

std::size_t row_of(const ChildKind& kind) {
  return static_cast<std::size_t>(&kind - kKinds.data());
}

}  // namespace

std::span<const ChildKind> child_kinds() {
  return kKinds;
}

const ChildKind& child_kind(std::string_view name) {
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(),
                                   [name](const ChildKind& kind) { return kind.name == name; });
  assert(found != kKinds.end());
  return *found;
}

void check_sockets(const ChildKind& kind, const config::Config& config) {
  for (const auto* socket : kind.sockets) {
    if (socket != nullptr && socket->wanted(config)) socket->check(config);
  }
}

const ChildSocket* socket_of(const ChildKind& kind, const config::Config& config,
                             std::string_view setting) {
  for (const auto* socket : kind.sockets) {
    if (socket == nullptr || !socket->wanted(config)) continue;
    if (setting.empty() || setting == socket->setting) return socket;
  }
  return nullptr;
}

ChildCounters& counters_of(const ChildKind& kind, Counts& counts) {
  return counts.children[row_of(kind)];
}

process::Families describe(const Counts& counts, const config::Config& config) {
  std::vector<NamedChild> children;
  process::Families families;
  for (const auto& kind : kKinds) {
    if (!kind.wanted(config)) continue;
    children.push_back({kind.name, &counts.children[row_of(kind)]});
    if (kind.describe != nullptr) append(families, kind.describe(counts));
  }
  auto all = describe(counts.supervisor, children);
  append(all, std::move(families));
  return all;
}

}  // namespace supervisor
