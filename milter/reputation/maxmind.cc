#include "milter/reputation/maxmind.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <maxminddb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "milter/net/fd.h"
#include "text/ascii.h"

namespace reputation {
namespace {

template <typename... Names>
std::optional<MMDB_entry_data_s> value_at(MMDB_entry_s& entry, Names... names) {
  MMDB_entry_data_s data;
  const char* const path[] = {names..., nullptr};
  if (MMDB_aget_value(&entry, &data, path) != MMDB_SUCCESS || !data.has_data) return {};
  return data;
}

template <typename... Names>
std::string_view text_at(MMDB_entry_s& entry, Names... names) {
  const auto data = value_at(entry, names...);
  if (!data || data->type != MMDB_DATA_TYPE_UTF8_STRING) return {};
  return {data->utf8_string, data->data_size};
}

// "Cable/DSL", "Cellular", "Corporate", "Satellite", "Dialup".
Access access_in(std::string_view type) {
  std::string word;
  for (const char c : type.substr(0, type.find('/'))) word += text::lower(c);
  return access_of(word).value_or(Access::Unknown);
}

NetworkFacts facts_in(MMDB_entry_s& entry) {
  NetworkFacts facts;
  const auto asn = value_at(entry, "autonomous_system_number");
  if (asn && asn->type == MMDB_DATA_TYPE_UINT32 && asn->uint32 != 0) facts.asn = asn->uint32;
  auto type = text_at(entry, "connection_type");
  if (type.empty()) type = text_at(entry, "traits", "connection_type");
  facts.access = access_in(type);
  const auto country = text_at(entry, "country", "iso_code");
  const bool is_code =
      country.size() == 2 && text::is_visible(country[0]) && text::is_visible(country[1]);
  if (is_code) facts.country = country;
  return facts;
}

// Puts a copy of the file in the place of the mapping that libmaxminddb has made. If another program
// cuts the file, as `cp` onto it does, the kernel would end this process at the next look-up.
void keep_copy(MMDB_s& database, const net::Fd& fd, const std::string& file) {
  const auto size = static_cast<std::size_t>(database.file_size);
  void* copy = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) {
    throw std::runtime_error(fmt::format("{}: keep a copy: {}", file, std::strerror(errno)));
  }
  std::size_t done = 0;
  while (done < size) {
    const auto got =
        pread(fd.get(), static_cast<char*>(copy) + done, size - done, static_cast<off_t>(done));
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  void* const place = const_cast<std::uint8_t*>(database.file_content);
  const bool is_kept =
      done == size && mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place;
  if (is_kept) return;
  (void)munmap(copy, size);
  throw std::runtime_error(file + ": is being changed; write a new file and rename it");
}

// O_NONBLOCK: to open a named pipe, which nobody may write to, must not take forever.
net::Fd open_file(const std::string& file, struct stat& about) {
  net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd || fstat(fd.get(), &about) < 0) {
    throw std::runtime_error(fmt::format("{}: cannot be read: {}", file, std::strerror(errno)));
  }
  if (!S_ISREG(about.st_mode)) throw std::runtime_error(file + ": is not a file");
  return fd;
}

bool is_still(const struct stat& about, const std::string& file) {
  struct stat now {};
  return stat(file.c_str(), &now) == 0 && now.st_dev == about.st_dev && now.st_ino == about.st_ino;
}

}  // namespace

void MaxMindFile::Close::operator()(MMDB_s* database) const {
  MMDB_close(database);
  delete database;
}

MaxMindFile::MaxMindFile(const std::string& file) {
  struct stat about {};
  const auto fd = open_file(file, about);
  auto database = std::make_unique<MMDB_s>();
  const int status = MMDB_open(file.c_str(), MMDB_MODE_MMAP, database.get());
  if (status != MMDB_SUCCESS) {
    throw std::runtime_error(fmt::format("{}: {}", file, MMDB_strerror(status)));
  }
  database_.reset(database.release());
  if (!is_still(about, file)) {
    throw std::runtime_error(file + ": was replaced while it was read");
  }
  keep_copy(*database_, fd, file);
}

NetworkFacts MaxMindFile::find(const net::Endpoint& client) const {
  sockaddr_storage address{};
  (void)client.fill(address);
  int error = MMDB_SUCCESS;
  auto found = MMDB_lookup_sockaddr(database_.get(), reinterpret_cast<sockaddr*>(&address), &error);
  if (error != MMDB_SUCCESS || !found.found_entry) return {};
  return facts_in(found.entry);
}

}  // namespace reputation
