#include "milter/reputation/maxmind.h"

#include <fmt/format.h>
#include <maxminddb.h>

#include <stdexcept>
#include <string_view>

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

}  // namespace

void MaxMindFile::Close::operator()(MMDB_s* database) const {
  MMDB_close(database);
  delete database;
}

MaxMindFile::MaxMindFile(const std::string& file) {
  auto database = std::make_unique<MMDB_s>();
  const int status = MMDB_open(file.c_str(), MMDB_MODE_MMAP, database.get());
  if (status != MMDB_SUCCESS) {
    throw std::runtime_error(fmt::format("{}: {}", file, MMDB_strerror(status)));
  }
  database_.reset(database.release());
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
