#include "milter/supervisor/handover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdlib>

#include "milter/capture/kernel_filter.h"
#include "milter/net/server_socket.h"
#include "milter/process/setup_error.h"
#include "text/number.h"

namespace supervisor {
namespace {

constexpr const char* kVariable = "SEGMILTER_HANDOVER";
// A row for each worker and a socket for each address: thousands are far beyond any real machine,
// and bound the memory that a forged environment variable can take.
constexpr std::size_t kMostNumbers = 4096;

// Returns the part of `text` before `mark`, and removes both from `text`.
std::string_view take(std::string_view& text, char mark) {
  const auto part = text.substr(0, text.find(mark));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

std::optional<std::vector<int>> numbers(std::string_view text) {
  std::vector<int> found;
  while (!text.empty()) {
    const auto word = take(text, ',');
    const auto number = text::number<int>(word);
    if (!number || *number <= 0 || found.size() == kMostNumbers) return std::nullopt;
    found.push_back(*number);
  }
  return found;
}

std::optional<std::vector<std::vector<int>>> rows(std::string_view text) {
  std::vector<std::vector<int>> found;
  while (!text.empty()) {
    auto row = numbers(take(text, '/'));
    if (!row || row->empty() || found.size() == kMostNumbers) return std::nullopt;
    found.push_back(std::move(*row));
  }
  return found;
}

std::string print_rows(const std::vector<std::vector<int>>& rows) {
  std::string text;
  for (const auto& row : rows) {
    text += fmt::format("{}{}", text.empty() ? "" : "/", fmt::join(row, ","));
  }
  return text;
}

bool listens_on(int fd, const net::Endpoint& address) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0) {
    return false;
  }
  return net::bound_to(fd) == address;
}

std::vector<int> descriptors(const Handover& handover) {
  std::vector<int> all = handover.rings;
  all.insert(all.end(), handover.desk.begin(), handover.desk.end());
  for (const auto& row : handover.listeners) all.insert(all.end(), row.begin(), row.end());
  for (const auto& row : handover.sources) all.insert(all.end(), row.begin(), row.end());
  if (handover.reputations >= 0) all.push_back(handover.reputations);
  return all;
}

}  // namespace

std::string print(const Handover& handover) {
  auto text =
      fmt::format("{} listeners={} rings={} desk={} children={}", capture::kSegmentEventVersion,
                  print_rows(handover.listeners), fmt::join(handover.rings, ","),
                  fmt::join(handover.desk, ","), fmt::join(handover.children, ","));
  if (!handover.sources.empty()) text += " sources=" + print_rows(handover.sources);
  if (handover.reputations >= 0) text += fmt::format(" reputations={}", handover.reputations);
  return text;
}

std::optional<Handover> parse_handover(std::string_view text) {
  if (take(text, ' ') != std::to_string(capture::kSegmentEventVersion)) return std::nullopt;
  const auto value = [&text](std::string_view key) -> std::optional<std::string_view> {
    auto word = take(text, ' ');
    if (!word.starts_with(key)) return std::nullopt;
    word.remove_prefix(key.size());
    return word;
  };
  const auto listeners = value("listeners=");
  const auto rings = value("rings=");
  const auto desk = value("desk=");
  const auto children = value("children=");
  const auto sources =
      text.starts_with("sources=") ? value("sources=") : std::optional<std::string_view>("");
  const auto table = text.empty() ? std::optional<std::string_view>("") : value("reputations=");
  if (!listeners || !rings || !desk || !children || !sources || !table || !text.empty()) {
    return std::nullopt;
  }
  auto sockets = rows(*listeners);
  auto maps = numbers(*rings);
  auto desks = numbers(*desk);
  auto pids = numbers(*children);
  auto seeds = rows(*sources);
  const auto tables = numbers(*table);
  if (!sockets || !maps || !desks || !pids || !seeds || !tables) return std::nullopt;
  if (sockets->empty() || tables->size() > 1) return std::nullopt;
  if (!seeds->empty() && seeds->size() != sockets->size()) return std::nullopt;
  if (!maps->empty() && maps->size() != sockets->size()) return std::nullopt;
  return Handover{std::move(*sockets), std::move(*maps),  std::move(*desks),
                  std::move(*pids),    std::move(*seeds), tables->empty() ? -1 : tables->front()};
}

void leave_handover(const Handover& handover) {
  for (const int fd : descriptors(handover)) {
    net::check(fcntl(fd, F_SETFD, 0), "let a descriptor pass exec");
  }
  net::check(setenv(kVariable, print(handover).c_str(), 1), "setenv");
}

void take_back_handover(const Handover& handover) {
  for (const int fd : descriptors(handover)) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
  unsetenv(kVariable);
}

std::optional<Handover> take_handover() {
  const char* text = getenv(kVariable);
  if (text == nullptr) return std::nullopt;
  auto handover = parse_handover(text);
  unsetenv(kVariable);
  return handover;
}

std::vector<net::Fd> adopt_listeners(const std::vector<int>& fds,
                                     const std::vector<net::Endpoint>& addresses,
                                     std::string_view key) {
  // The previous program has left out the addresses whose family this machine does not have.
  auto fd = fds.begin();
  for (const auto& address : addresses) {
    if (fd != fds.end() && listens_on(*fd, address)) ++fd;
  }
  if (fd != fds.end()) {
    throw process::SetupError(EX_UNAVAILABLE,
                              fmt::format("{}: the previous program left other sockets than those "
                                          "that are configured: a restart is needed",
                                          key));
  }
  std::vector<net::Fd> listeners;
  for (const int left : fds) {
    (void)fcntl(left, F_SETFD, FD_CLOEXEC);
    listeners.emplace_back(left);
  }
  return listeners;
}

}  // namespace supervisor
