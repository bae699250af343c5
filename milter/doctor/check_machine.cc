// Checks of the machine: which process listens where, and can the kernel filter be loaded.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>

#include "milter/capture/kernel_filter.h"
#include "milter/doctor/check.h"

namespace doctor {
namespace {

constexpr unsigned kListening = 10;  // TCP_LISTEN

std::string describe(const net::Process& process) {
  return fmt::format("{} (pid {})", process.program, process.pid);
}

// The listeners that can accept clients of `address`: those at this address and those at the
// wildcard address. A listener at "[::]" may accept IPv4 too; /proc does not show whether it does.
std::vector<const net::TcpSocket*> listeners_at(const Patient& patient,
                                                const net::Endpoint& address) {
  std::vector<const net::TcpSocket*> found;
  for (const auto& socket : patient.tcp) {
    if (socket.state != kListening || socket.local.port() != address.port()) continue;
    const auto text = socket.local.print_address();
    const bool any = text == "::" || (text == "0.0.0.0" && address.is_v4());
    if (socket.local == address || any) found.push_back(&socket);
  }
  return found;
}

struct Listener {
  bool somebody = false;  // some process listens, maybe one that only root can identify
  std::optional<net::Process> segmilter;
  std::optional<net::Process> other;
};

Listener who_listens(const Patient& patient, const net::Endpoint& address) {
  Listener listener;
  for (const auto* socket : listeners_at(patient, address)) {
    listener.somebody = true;
    // segmilter's own listeners at "[::]" accept IPv6 only.
    const bool other_family = socket->local.is_v4() != address.is_v4();
    for (auto& process : net::owners(socket->inode)) {
      if (other_family && process.is_segmilter()) continue;
      auto& place = process.is_segmilter() ? listener.segmilter : listener.other;
      if (!place) place = std::move(process);
    }
  }
  return listener;
}

// A setting that makes segmilter listen, and the finding if it does not listen there.
struct Post {
  std::string_view setting;
  decltype(&fail) found_otherwise;
  std::string_view cost_of_another;
  std::string_view cost_of_nobody;
};
constexpr Post kProxy{"proxy.listen", fail, "mail does not pass through the proxy",
                      "clients are refused"};
constexpr Post kDesk{"desk.listen", warn, "segmilter serves no pages and no metrics",
                     "there are no pages and no metrics"};

Finding judge_listen(const Patient& patient, const Post& post, const net::Endpoint& address) {
  const auto looked = fmt::format("{} {}", post.setting, address.print());
  const auto listener = who_listens(patient, address);
  if (listener.segmilter) {
    return ok(fmt::format("{}: {} listens", address.print(), describe(*listener.segmilter)));
  }
  if (listener.other) {
    return post.found_otherwise(
        looked,
        fmt::format("{} listens there, and not segmilter: {}. It has to release the "
                    "port first",
                    describe(*listener.other), post.cost_of_another),
        {kRestart}, {});
  }
  if (listener.somebody) {
    return skip(looked,
                "a process listens there; only root can see which one (run the doctor as "
                "root)");
  }
  if (!address.is_v4() && !patient.ipv6) {
    return warn(looked, "this machine has no IPv6: segmilter does not listen at this address");
  }
  return post.found_otherwise(
      looked, fmt::format("no process listens there: {}", post.cost_of_nobody), {kRestart}, {});
}

Findings judge_all(const Patient& patient, const Post& post,
                   const std::vector<net::Endpoint>& addresses) {
  Findings findings;
  for (const auto& address : addresses) findings.push_back(judge_listen(patient, post, address));
  return findings;
}

// The processes of the running segmilter: those that hold the proxy's listeners, or if there are
// none, those that hold the evidence socket.
std::vector<net::Process> running(const Patient& patient) {
  std::vector<net::Process> found;
  for (const auto& listen : patient.config.proxy.listen) {
    for (const auto* socket : listeners_at(patient, listen)) {
      for (const auto& process : net::owners(socket->inode)) {
        if (process.is_segmilter()) found.push_back(process);
      }
    }
    if (!found.empty()) break;
  }
  if (!found.empty()) return found;
  for (const auto& socket : net::unix_sockets()) {
    if (!socket.listening || socket.path != patient.config.evidence.socket) continue;
    for (const auto& process : net::owners(socket.inode)) {
      if (process.is_segmilter()) found.push_back(process);
    }
  }
  return found;
}

// Does the running segmilter use the kernel filter? nullopt: segmilter does not run, or its
// descriptors cannot be read.
std::optional<bool> sees_by_kernel(const Patient& patient) {
  std::optional<bool> answer;
  for (const auto& process : running(patient)) {
    const auto holds = net::holds_bpf(process.pid);
    if (holds) answer = answer.value_or(false) || *holds;
  }
  return answer;
}

std::string kernel_release() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "of an unknown version";
}

std::string memlock() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{} bytes", limit.rlim_cur);
}

// Tries to load the kernel filter. nullopt: it can be loaded.
std::optional<std::string> why_not_loaded() {
  constexpr std::size_t kSmallRing = 4096;
  try {
    (void)capture::KernelFilter::load(kSmallRing);
    return std::nullopt;
  } catch (const std::exception& error) {
    return fmt::format("{} (Linux {}, memlock {})", error.what(), kernel_release(), memlock());
  }
}

constexpr std::string_view kCost =
    "segmilter infers segments from its reads (via=read) and misses some boundaries: labels have "
    "a lower confidence, and some bots are labelled as mail servers";

Finding judge_kernel(const Patient& patient, const std::string& looked) {
  const bool must = patient.config.capture.method == config::Capture::Method::Kernel;
  const auto seen = sees_by_kernel(patient);
  if (seen && *seen) {
    return ok(
        fmt::format("the running segmilter observes segments with its kernel filter "
                    "(Linux {})",
                    kernel_release()));
  }
  if (!patient.root) {
    return skip(looked, "only root can try to load the kernel filter (run the doctor as root)");
  }
  if (const auto reason = why_not_loaded()) {
    return (must ? fail : warn)(looked,
                                fmt::format("the kernel filter cannot be loaded: {}. Without it {}",
                                            *reason, must ? "segmilter does not start" : kCost),
                                {}, {});
  }
  if (seen) {
    return warn(looked,
                fmt::format("the kernel filter can be loaded, but the running segmilter is without "
                            "it (was it started without CAP_BPF and CAP_NET_ADMIN?): {}",
                            kCost),
                {kRestart});
  }
  return ok(fmt::format("the kernel filter can be loaded (Linux {}); segmilter does not run",
                        kernel_release()));
}

bool is_here(const Patient& patient, const net::Endpoint& address) {
  const auto host = net::Endpoint::from_bytes(address.bytes(), 0);
  return address.is_loopback() || std::find(patient.addresses.begin(), patient.addresses.end(),
                                            host) != patient.addresses.end();
}

}  // namespace

Findings check_listen(const Patient& patient) {
  return judge_all(patient, kProxy, patient.config.proxy.listen);
}

Findings check_desk(const Patient& patient) {
  return judge_all(patient, kDesk, patient.config.desk.listen);
}

Findings check_upstream_scope(const Patient& patient) {
  if (!uses_proxy_header(patient)) return {};
  const auto& upstream = *patient.config.proxy.upstream;
  const auto looked =
      fmt::format("listeners on port {} (proxy.upstream {})", upstream.port(), upstream.print());
  if (!is_here(patient, upstream)) {
    return {warn(
        looked,
        fmt::format(
            "{} is another machine: every host that reaches this port can pretend to be any "
            "client, even one that may relay; let that machine's firewall admit only this machine",
            upstream.print_address()))};
  }
  std::string open;
  bool somebody = false;
  for (const auto& socket : patient.tcp) {
    if (socket.state != kListening || socket.local.port() != upstream.port()) continue;
    somebody = true;
    if (!socket.local.is_loopback()) open += " " + socket.local.print();
  }
  if (!somebody) return {skip(looked, "no process listens there")};
  if (open.empty()) {
    return {ok(fmt::format("port {} can be reached over loopback only", upstream.port()))};
  }
  std::vector<std::string> mend;
  const auto services = mail_services(patient);
  if (!services.empty()) {
    const auto loopback =
        *net::Endpoint::parse_address(upstream.is_v4() ? "127.0.0.1" : "::1", upstream.port());
    mend.push_back(patient.postconf(
        "-F " +
        shell_word(fmt::format("{}/service={}", services.front()->key(), loopback.print()))));
    mend.push_back(patient.postfix_command("reload"));
  }
  const auto setting = upstream.is_loopback()
                           ? std::string()
                           : fmt::format("[proxy] upstream = \"127.0.0.1:{}\"", upstream.port());
  return {fail(looked,
               fmt::format("Postfix's upstream port is open on{}: every host that reaches it can "
                           "pretend to be any client, even one that may relay",
                           open),
               std::move(mend), setting)};
}

Findings check_capture(const Patient& patient) {
  using Method = config::Capture::Method;
  const auto method = patient.config.capture.method;
  if (patient.config.proxy.listen.empty() && patient.config.wire.ports.empty()) return {};
  if (patient.config.proxy.listen.empty()) {
    // The wire observer needs its kernel program: segmilter does not start without it.
    const auto seen = sees_by_kernel(patient);
    if (seen && *seen) return {ok("the running wire observer has its kernel program")};
    return {skip(
        "the running wire observer",
        patient.root ? "it does not run" : "only root can examine it (run the doctor as root)")};
  }
  constexpr const char* kSetting = "[capture] method = \"auto\"";
  if (method == Method::Off) {
    return {warn("capture.method: off", "nothing is observed: every message is labelled unobserved",
                 {}, kSetting)};
  }
  if (method == Method::Read) {
    return {warn("capture.method: read", fmt::format("the kernel filter is not used: {}", kCost),
                 {}, kSetting)};
  }
  return {judge_kernel(
      patient, fmt::format("capture.method: {}", method == Method::Kernel ? "kernel" : "auto"))};
}

}  // namespace doctor
