#include "milter/reputation/networks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "milter/config/access.h"
#include "milter/net/fd.h"
#include "milter/reputation/maxmind.h"
#include "milter/reputation/network_list.h"

namespace reputation {
namespace {

constexpr auto& kAccess = config::kAccessNames;
static_assert(kAccess.size() == static_cast<std::size_t>(Access::Hosting) + 1);

std::string read_file(const std::string& file) {
  const auto failed = [&] {
    return std::runtime_error(fmt::format("{}: cannot be read: {}", file, std::strerror(errno)));
  };
  // O_NONBLOCK: to open a named pipe, which nobody may write to, must not take forever.
  const net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about {};
  if (!fd || fstat(fd.get(), &about) < 0) throw failed();
  if (!S_ISREG(about.st_mode)) throw std::runtime_error(file + ": is not a file");
  std::string text;
  char buffer[64 * 1024];
  // Stops soon after the limit, although another program may write to the file without an end.
  while (text.size() <= NetworkList::kMostText) {
    const auto got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0) throw failed();
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

NetworkList read_list(const std::string& file) {
  auto read = NetworkList::parse(read_file(file));
  if (auto* error = std::get_if<NetworkList::Error>(&read)) {
    throw std::runtime_error(error->line == 0
                                 ? fmt::format("{}: {}", file, error->message)
                                 : fmt::format("{}:{}: {}", file, error->line, error->message));
  }
  return std::get<NetworkList>(std::move(read));
}

}  // namespace

std::string_view name(Access access) {
  return kAccess[static_cast<std::size_t>(access)];
}

std::optional<Access> access_of(std::string_view word) {
  const auto found = std::find(kAccess.begin() + 1, kAccess.end(), word);
  if (found == kAccess.end()) return std::nullopt;
  return static_cast<Access>(found - kAccess.begin());
}

std::string access_words() {
  return fmt::format("{}", fmt::join(kAccess.begin() + 1, kAccess.end(), ", "));
}

std::shared_ptr<const Networks> Networks::read(const std::vector<std::string>& files) {
  if (files.empty()) return nullptr;
  std::shared_ptr<Networks> networks(new Networks);
  for (const auto& file : files) {
    if (file.ends_with(".mmdb")) {
      networks->sources_.emplace_back(std::make_unique<MaxMindFile>(file));
    } else {
      networks->sources_.emplace_back(std::make_unique<NetworkList>(read_list(file)));
    }
  }
  return networks;
}

NetworkFacts Networks::find(const net::Endpoint& client) const {
  NetworkFacts facts;
  for (const auto& source : sources_) {
    auto more = std::visit([&](const auto& file) { return file->find(client); }, source);
    if (!facts.asn) facts.asn = more.asn;
    if (facts.access == Access::Unknown) facts.access = more.access;
    if (facts.country.empty()) facts.country = std::move(more.country);
  }
  return facts;
}

Networks::Networks() = default;
Networks::~Networks() = default;

}  // namespace reputation
