// Checks of the two unix sockets, each with the rights of the user that has to connect to it:
// Postfix's user connects to the milter socket from its chroot, segmilter's user connects to the
// evidence socket.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "milter/doctor/as_user.h"
#include "milter/doctor/check.h"
#include "milter/doctor/dialogue.h"
#include "milter/evidence/client.h"
#include "milter/net/unix_socket.h"

namespace doctor {
namespace {

using std::chrono::seconds;

constexpr seconds kLimit{5};

// The exit status of a child that connects to a socket: an errno, or one of these.
constexpr int kAnswers = 0;
constexpr int kSilent = 200;    // the server accepted the connection but did not answer in time
constexpr int kStranger = 201;  // the server answered, but not as a milter

// Sends SMFIC_OPTNEG of milter protocol 6 (length, 'O', version, actions, protocol flags). A milter
// answers with the same letter. Then sends SMFIC_QUIT.
//
//     | 00 00 00 0d | 4f | 00 00 00 06 | 00 00 01 ff | 00 1f ff ff |      | 00 00 00 01 | 51 |
int talk_milter(int fd) {
  constexpr unsigned char kNegotiate[] = {0, 0, 0, 13,   'O', 0,    0,    0,   6,
                                          0, 0, 1, 0xff, 0,   0x1f, 0xff, 0xff};
  constexpr unsigned char kQuit[] = {0, 0, 0, 1, 'Q'};
  if (send(fd, kNegotiate, sizeof kNegotiate, MSG_NOSIGNAL) < 0) return errno;
  pollfd entry{fd, POLLIN, 0};
  constexpr int kWaitMs = 3000;
  if (poll(&entry, 1, kWaitMs) != 1) return kSilent;
  char answer[5];
  const ssize_t got = recv(fd, answer, sizeof answer, MSG_WAITALL | MSG_DONTWAIT);
  if (got <= 0) return got < 0 ? errno : kSilent;
  (void)send(fd, kQuit, sizeof kQuit, MSG_NOSIGNAL);
  return got == sizeof answer && answer[4] == 'O' ? kAnswers : kStranger;
}

int talk_unix(const std::string& path) {
  const net::Fd fd = net::connect_unix(path, std::chrono::seconds(2));
  return fd ? talk_milter(fd.get()) : errno;
}

std::string rights(const struct stat& status) {
  return fmt::format("{:04o} {}", status.st_mode & 07777u, group_name(status.st_gid));
}

// What prevents an account from using a socket, and the lines that fix it. Both are empty if the
// modes of the files and folders permit it.
struct Obstacles {
  std::string what;
  std::vector<std::string> mend;
};

// `wanted`: 1 to go through a folder, 2 to connect to a socket.
void add_obstacle(const Account& account, const std::string& path, unsigned wanted,
                  Obstacles& obstacles) {
  struct stat status {};
  if (stat(path.c_str(), &status) < 0) return;
  const auto access = access_for(account, status.st_mode, status.st_uid, status.st_gid, wanted);
  if (access.granted) return;
  obstacles.what +=
      fmt::format("{}{} is {}", obstacles.what.empty() ? "" : ", ", path, rights(status));
  char who = access.who;
  if (who == 'o') {
    // Access is given to the group, so that no other account gets it.
    obstacles.mend.push_back(fmt::format("chgrp {} {}", account.group, shell_word(path)));
    who = 'g';
  }
  const bool folder = S_ISDIR(status.st_mode);
  obstacles.mend.push_back(
      fmt::format("chmod {}+{} {}", who, folder ? "x" : "rw", shell_word(path)));
}

// What prevents the account from connecting to the socket. Requires: `socket` is an absolute path.
Obstacles obstacles_to(const Account& account, const std::string& socket) {
  Obstacles obstacles;
  for (auto at = socket.find('/', 1); at != socket.npos; at = socket.find('/', at + 1)) {
    add_obstacle(account, socket.substr(0, at), 1, obstacles);
  }
  add_obstacle(account, socket, 2, obstacles);
  return obstacles;
}

// The setting that makes the fix permanent: at each start segmilter gives the socket the mode and
// the group of the configuration. Empty: the configuration is right.
std::string lasting(const Account& account, const config::Filter& filter) {
  if ((filter.socket_mode & 0060u) != 0060u) return "[filter] socket_mode = \"0660\"";
  if (filter.socket_group != account.group)
    return fmt::format("[filter] socket_group = \"{}\"", account.group);
  return {};
}

Finding judge_refusal(const Patient& patient, const Account& account, const std::string& path,
                      const std::string& looked, int error) {
  if (error == EACCES) {
    const auto [what, mend] = obstacles_to(account, path);
    return fail(
        looked,
        fmt::format("the user {} may not use the milter socket: {}; no mail is labelled",
                    account.name,
                    what.empty() ? "an access control list or a security module forbids it" : what),
        mend, lasting(account, patient.config.filter));
  }
  if (error == ECONNREFUSED) {
    return fail(looked, "no process answers on the milter socket: the filter does not run",
                {kRestart});
  }
  if (error == kSilent || error == EAGAIN) {
    return fail(looked, "the filter accepts the connection but does not answer: it hangs",
                {kRestart});
  }
  if (error == kStranger) return fail(looked, "the program that answers there is not a milter");
  return fail(looked, fmt::format("{}: {}", path, std::strerror(error)), {kRestart});
}

// The path of segmilter's socket as smtpd_milters has it. nullopt: smtpd_milters does not name it.
std::optional<std::string> path_for(const Patient& patient, const Service& smtpd) {
  const std::string queue(patient.postfix->value("queue_directory"));
  for (const auto& entry : parse_milters(patient.postfix->value(smtpd, "smtpd_milters"))) {
    if (same_socket(entry.address, patient.config.filter.socket, queue)) {
      return entry.address.substr(entry.address.find(':') + 1);
    }
  }
  return std::nullopt;
}

Finding as_postfix(const Patient& patient, const std::string& path, const std::string& looked) {
  const auto& postfix = *patient.postfix;
  const auto account = find_account(std::string(postfix.value("mail_owner")));
  if (!account)
    return skip(looked, fmt::format("there is no user {}", postfix.value("mail_owner")));
  const std::string queue(postfix.value("queue_directory"));
  Place place{{}, queue};
  std::string seen = path;
  std::string jail;
  for (const Service* service : mail_services(patient)) {
    const Service* smtpd = postfix.smtpd_behind(*service);
    if (smtpd == nullptr) continue;
    const auto written = path_for(patient, *smtpd);
    seen = written.value_or(path);
    if (!postfix.chrooted(*smtpd)) break;
    place = {queue, "/"};
    jail = fmt::format(" from {}'s chroot {}", smtpd->key(), queue);
    if (!written && path.starts_with(queue + "/")) seen = path.substr(queue.size() + 1);
    break;
  }
  const auto error = as_user(*account, place, kLimit, [&] { return talk_unix(seen); });
  if (!error) return fail(looked, "the filter does not answer in time: it hangs", {kRestart});
  if (*error == kAnswers) {
    return ok(fmt::format("{} reaches the filter at {}{}", account->name, path, jail));
  }
  if (*error == ENOENT && !jail.empty()) {
    // The socket is inside the chroot, but smtpd_milters has a wrong path: check_milters fixes it.
    const bool below = path.starts_with(queue + "/");
    const auto setting =
        below ? "" : fmt::format("[filter] socket = \"unix:{}/segmilter/milter.sock\"", queue);
    return fail(looked, fmt::format("{} does not exist, seen{}", seen, jail), {}, setting);
  }
  return judge_refusal(patient, *account, path, looked, *error);
}

// "HOST:PORT" of smtpd_milters. Only the name localhost is resolved.
std::optional<net::Endpoint> inet_address(std::string text) {
  if (text.starts_with("localhost:")) text.replace(0, 9, "127.0.0.1");
  return net::Endpoint::parse(text);
}

// Connects and calls talk_milter. Returns its result, or connect's errno.
int talk_inet(const net::Endpoint& address) {
  const net::Fd fd(socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  const socklen_t size = address.fill(storage);
  const timeval limit{2, 0};
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const bool there = connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0;
  return there ? talk_milter(fd.get()) : errno;
}

Finding judge_inet(const Patient& patient, const std::string& looked) {
  const auto address = patient.config.filter.socket.address();
  if (!address) return skip(looked, "this is a host name, and the doctor resolves no names");
  const int error = talk_inet(*address);
  if (error == kAnswers) {
    return ok(
        fmt::format("the filter answers at {}; a message takes up to 1 ms longer than over a unix "
                    "socket",
                    address->print()));
  }
  return fail(
      looked,
      error < kSilent ? std::strerror(error) : "the program that answers there is not a milter",
      {kRestart});
}

// Why another milter does not answer. Empty: it answers, or the doctor cannot find out.
std::string why_dead(const Patient& patient, const Service& smtpd, const MilterEntry& milter) {
  const auto colon = milter.address.find(':');
  const auto kind = milter.address.substr(0, colon);
  const auto rest = colon == std::string::npos ? "" : milter.address.substr(colon + 1);
  int error = kAnswers;
  if (kind == "inet") {
    const auto address = inet_address(rest);
    if (address) error = talk_inet(*address);
  } else if ((kind == "unix" || kind == "local") && patient.root) {
    const auto account = find_account(std::string(patient.postfix->value("mail_owner")));
    if (!account) return "";
    const std::string queue(patient.postfix->value("queue_directory"));
    const bool jailed = patient.postfix->chrooted(smtpd);
    const auto answer = as_user(*account, jailed ? Place{queue, "/"} : Place{{}, queue}, kLimit,
                                [&] { return talk_unix(rest); });
    error = answer.value_or(kSilent);
  }
  if (error == kAnswers) return "";
  if (error == kSilent) return "it accepts the connection but does not answer";
  return error == kStranger ? "the program that answers there is not a milter"
                            : std::strerror(error);
}

// Looks for the socket's file before anything connects to it. nullopt: the socket exists.
std::optional<Finding> missing(const std::string& path, const std::string& looked,
                               std::string_view effect) {
  struct stat status {};
  if (lstat(path.c_str(), &status) < 0) {
    const int error = errno;
    if (error == EACCES) {
      return skip(looked, "only root can look into its folder (run the doctor as root)");
    }
    return fail(looked, fmt::format("{}: {}: {}", path, std::strerror(error), effect), {kRestart});
  }
  if (S_ISSOCK(status.st_mode)) return std::nullopt;
  return fail(looked, fmt::format("{} exists but is not a socket", path),
              {fmt::format("rm -i {}", shell_word(path)), kRestart});
}

// Asks for a client that does not exist. Returns a classifier::Reason: NoSession if the socket
// works.
int ask_evidence(const std::string& path) {
  // An address of TEST-NET-1 (RFC 5737).
  const auto nobody = *net::Endpoint::parse("192.0.2.1:1");
  return static_cast<int>(evidence::Client(path, kLimit / 2).ask({.client = nobody}).reason);
}

}  // namespace

Findings check_milter_socket(const Patient& patient) {
  const auto& socket = patient.config.filter.socket;
  const auto looked = "filter.socket " + socket.print();
  if (!socket.is_unix()) return {judge_inet(patient, looked)};
  if (auto gone = missing(socket.path, looked, "the filter does not run, no mail is labelled")) {
    return {std::move(*gone)};
  }
  if (auto reason = cannot_be_postfix(patient, looked)) return {std::move(*reason)};
  return {as_postfix(patient, socket.path, looked)};
}

Findings check_other_milters(const Patient& patient) {
  Findings findings;
  for (const Service* service : mail_services(patient)) {
    const Service* smtpd = patient.postfix->smtpd_behind(*service);
    if (smtpd == nullptr) continue;
    const std::string queue(patient.postfix->value("queue_directory"));
    for (const auto& milter : parse_milters(patient.postfix->value(*smtpd, "smtpd_milters"))) {
      if (same_socket(milter.address, patient.config.filter.socket, queue)) continue;
      const auto why = why_dead(patient, *smtpd, milter);
      if (!why.empty()) findings.push_back(judge_dead(patient, *smtpd, milter, why));
    }
  }
  return findings;
}

Findings check_evidence_socket(const Patient& patient) {
  const auto& config = patient.config;
  if (config.proxy.listen.empty() && config.wire.ports.empty()) return {};
  const auto& path = config.evidence.socket;
  const auto looked = fmt::format("evidence.socket {}", path);
  if (auto gone = missing(path, looked, "every message is labelled unobserved")) {
    return {std::move(*gone)};
  }
  const auto account = find_account(config.general.user);
  if (!account) return {skip(looked, fmt::format("there is no user {}", config.general.user))};
  const auto answer = patient.root
                          ? as_user(*account, {}, kLimit, [&] { return ask_evidence(path); })
                          : std::optional(ask_evidence(path));
  if (answer == static_cast<int>(classifier::Reason::NoSession)) {
    return {ok(fmt::format("{} answers", path))};
  }
  if (!patient.root) {
    return {skip(looked,
                 "it does not answer this user; only root can test whether it answers the "
                 "filter's user")};
  }
  const auto [what, mend] = obstacles_to(*account, path);
  if (what.empty()) {
    return {
        fail(looked, "no process answers there: every message is labelled unobserved", {kRestart})};
  }
  return {fail(looked,
               fmt::format("the user {} may not use the evidence socket: {}; every message is "
                           "labelled unobserved",
                           account->name, what),
               mend,
               config.evidence.socket_mode == 0660 ? "" : "[evidence] socket_mode = \"0660\"")};
}

}  // namespace doctor
