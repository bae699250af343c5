#include "milter/net/sockets.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "milter/net/fd.h"
#include "text/lines.h"
#include "text/number.h"

namespace net {
namespace {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(' ', at)) != line.npos;) {
    const auto end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// Reads "0100007F:0019": the address as 32-bit words, each in the machine's byte order.
std::optional<Endpoint> read_local(std::string_view text, bool v6) {
  const std::size_t words = v6 ? 4 : 1;
  if (text.size() != words * 8 + 5 || text[words * 8] != ':') return std::nullopt;
  std::array<std::uint8_t, 16> bytes{};
  if (!v6) bytes[10] = bytes[11] = 0xff;
  for (std::size_t i = 0; i < words; ++i) {
    const auto word = text::number<std::uint32_t>(text.substr(i * 8, 8), 16);
    if (!word) return std::nullopt;
    std::memcpy(bytes.data() + (v6 ? 0 : 12) + i * 4, &*word, 4);
  }
  const auto port = text::number<std::uint16_t>(text.substr(words * 8 + 1), 16);
  if (!port) return std::nullopt;
  return Endpoint::from_bytes(bytes, *port);
}

std::string link_target(const std::string& path) {
  // Longer targets are cut. "socket:[…]" is short, and of a program only its name is used.
  char buffer[512];
  const ssize_t size = readlink(path.c_str(), buffer, sizeof buffer);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// Calls `entry` for each name in a folder until it returns false. Returns false if the folder
// cannot be read.
bool each_entry(const std::string& path, const std::function<bool(const char*)>& entry) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (!directory) return false;
  while (const dirent* item = readdir(directory.get())) {
    if (item->d_name[0] != '.' && !entry(item->d_name)) break;
  }
  return true;
}

bool holds(const std::string& process, std::string_view target, bool& readable) {
  bool found = false;
  readable = each_entry(process + "/fd", [&](const char* fd) {
    found = link_target(process + "/fd/" + fd).starts_with(target);
    return !found;
  });
  return found;
}

std::string program_of(const std::string& process) {
  auto path = link_target(process + "/exe");
  // The kernel adds this when an upgrade has replaced the file.
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  if (!path.empty()) return path.substr(path.rfind('/') + 1);
  auto name = read_from(process + "/comm");
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

}  // namespace

std::string read_from(const std::string& path, std::uint64_t offset) {
  constexpr std::size_t kMost = 8 << 20;
  std::string text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd || (offset != 0 && lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0))
    return text;
  char buffer[16 * 1024];
  ssize_t got = 0;
  while (text.size() < kMost && (got = ::read(fd.get(), buffer, sizeof buffer)) > 0) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

//   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//    0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1546 …
std::vector<TcpSocket> parse_tcp(std::string_view text, bool v6) {
  std::vector<TcpSocket> sockets;
  while (!text.empty()) {
    const auto words = words_of(text::take_line(text));
    if (words.size() < 10) continue;
    const auto local = read_local(words[1], v6);
    const auto state = text::number<unsigned>(words[3], 16);
    const auto inode = text::number<std::uint64_t>(words[9], 10);
    if (local && state && inode) sockets.push_back({*local, *state, *inode});
  }
  return sockets;
}

// Num       RefCount Protocol Flags    Type St Inode Path
// 00000000: 00000002 00000000 00010000 0001 01  1542 /run/segmilter/evidence.sock
std::vector<UnixSocket> parse_unix(std::string_view text) {
  constexpr std::uint32_t kAccepts = 0x10000;  // __SO_ACCEPTCON
  std::vector<UnixSocket> sockets;
  while (!text.empty()) {
    const auto line = text::take_line(text);
    const auto words = words_of(line);
    if (words.size() < 8) continue;
    const auto flags = text::number<std::uint32_t>(words[3], 16);
    const auto state = text::number<unsigned>(words[5], 16);
    const auto inode = text::number<std::uint64_t>(words[6], 10);
    if (!flags || !state || !inode) continue;
    const auto path = line.substr(static_cast<std::size_t>(words[7].data() - line.data()));
    sockets.push_back({*state, (*flags & kAccepts) != 0, *inode, std::string(path)});
  }
  return sockets;
}

std::vector<TcpSocket> tcp_sockets() {
  auto sockets = parse_tcp(read_from("/proc/self/net/tcp"), false);
  const auto v6 = parse_tcp(read_from("/proc/self/net/tcp6"), true);
  sockets.insert(sockets.end(), v6.begin(), v6.end());
  return sockets;
}

std::vector<UnixSocket> unix_sockets() {
  return parse_unix(read_from("/proc/self/net/unix"));
}

std::vector<Process> owners(std::uint64_t inode) {
  const auto target = fmt::format("socket:[{}]", inode);
  std::vector<Process> found;
  each_entry("/proc", [&](const char* name) {
    const auto pid = text::number<pid_t>(name, 10);
    bool readable = false;
    const auto process = fmt::format("/proc/{}", name);
    if (pid && holds(process, target, readable)) found.push_back({*pid, program_of(process)});
    return true;
  });
  std::sort(found.begin(), found.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
  return found;
}

std::optional<bool> holds_bpf(pid_t pid) {
  bool readable = false;
  const bool found = holds(fmt::format("/proc/{}", pid), "anon_inode:bpf-prog", readable);
  return readable ? std::optional(found) : std::nullopt;
}

std::vector<Endpoint> own_addresses() {
  std::vector<Endpoint> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) < 0) return addresses;
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    const auto address = Endpoint::from(item->ifa_addr);
    // A link-local address is useless without the name of its interface.
    const bool link_local = address && !address->is_v4() && address->bytes()[0] == 0xfe;
    if (!address || address->is_loopback() || link_local) continue;
    addresses.push_back(Endpoint::from_bytes(address->bytes(), 0));
  }
  freeifaddrs(list);
  return addresses;
}

}  // namespace net
