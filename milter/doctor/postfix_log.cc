#include "milter/doctor/postfix_log.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "milter/doctor/command.h"
#include "milter/net/sockets.h"

namespace doctor {

using std::chrono::milliseconds;
using std::chrono::seconds;

PostfixLog::PostfixLog(std::string_view maillog_file) : since_(std::time(nullptr)) {
  std::vector<std::string> files{"/var/log/mail.log", "/var/log/maillog"};
  const bool own = maillog_file.starts_with('/') && !maillog_file.starts_with("/dev/");
  if (own) files = {std::string(maillog_file)};
  for (const auto& file : files) {
    struct stat status {};
    if (stat(file.c_str(), &status) < 0 || access(file.c_str(), R_OK) < 0) continue;
    file_ = file;
    size_ = static_cast<std::uint64_t>(status.st_size);
    return;
  }
}

// A machine with a journal often still has an old log file that no process writes to. So if the
// file has no new lines, the journal is read.
std::string PostfixLog::read() {
  auto text = file_.empty() ? std::string() : new_lines();
  source_ = text.empty() ? "the journal" : file_;
  return text.empty() ? journal() : text;
}

std::string PostfixLog::new_lines() const {
  struct stat status {};
  const bool rotated =
      stat(file_.c_str(), &status) < 0 || static_cast<std::uint64_t>(status.st_size) < size_;
  return net::read_from(file_, rotated ? 0 : size_);
}

std::string PostfixLog::journal() const {
  constexpr seconds kLimit{5};
  return run_command({"journalctl", "-q", "-o", "cat", "--no-pager", "-n", "2000",
                      fmt::format("--since=@{}", since_), "_COMM=smtpd", "_COMM=postscreen"},
                     kLimit)
      .output;
}

Seen PostfixLog::wait_for(const net::Endpoint& client) {
  constexpr seconds kLimit{3};
  constexpr milliseconds kPause{100};
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  auto seen = Seen::Nothing;
  do {
    seen = seen_in_log(read(), client);
    if (seen == Seen::Port || seen == Seen::AddressOnly) return seen;
    std::this_thread::sleep_for(kPause);
  } while (std::chrono::steady_clock::now() < deadline);
  return seen;
}

// postfix/smtpd[7]: connect from mail.example[192.0.2.7]:40112      (smtpd_client_port_logging)
// postfix/smtpd[7]: connect from mail.example[192.0.2.7]
// postfix/postscreen[7]: CONNECT from [192.0.2.7]:40112 to [198.51.100.25]:25
Seen seen_in_log(std::string_view log, const net::Endpoint& client) {
  constexpr std::string_view kWords[] = {": connect from ", ": CONNECT from ", "connect from ",
                                         "CONNECT from "};
  const auto address = fmt::format("[{}]", client.print_address());
  const auto with_port = fmt::format("{}:{}", address, client.port());
  auto seen = Seen::Nothing;
  while (!log.empty()) {
    const auto end = log.find('\n');
    const auto line = log.substr(0, end);
    log.remove_prefix(end == log.npos ? log.size() : end + 1);
    // journalctl prints only the message, so the words may also begin the line.
    const bool connect = line.starts_with(kWords[2]) || line.starts_with(kWords[3]) ||
                         line.find(kWords[0]) != line.npos || line.find(kWords[1]) != line.npos;
    if (!connect) continue;
    const auto at = line.find(address);
    if (at == line.npos) {
      const bool loopback =
          line.find("[127.0.0.1]") != line.npos || line.find("[::1]") != line.npos;
      if (loopback && seen != Seen::AddressOnly) seen = Seen::Loopback;
      if (seen == Seen::Nothing) seen = Seen::Others;
      continue;
    }
    const auto rest = line.substr(at);
    const auto port = rest.substr(0, with_port.size()) == with_port;
    const auto after = rest.size() > with_port.size() ? rest[with_port.size()] : ' ';
    if (port && (after < '0' || after > '9')) return Seen::Port;
    const bool other_port = rest.size() > address.size() && rest[address.size()] == ':';
    if (!other_port) {
      seen = Seen::AddressOnly;
    } else if (seen == Seen::Nothing) {
      seen = Seen::Others;
    }
  }
  return seen;
}

}  // namespace doctor
