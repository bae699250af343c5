#include "milter/memory/forget.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>

#include "milter/memory/address_form.h"
#include "milter/memory/database.h"
#include "milter/memory/day_file.h"
#include "milter/memory/forget_requests.h"
#include "milter/memory/retention.h"
#include "milter/memory/row_groups.h"

namespace memory {
namespace {

using Addresses = config::Memory::Addresses;

// In one transaction, for which the memory process may have to wait.
constexpr std::size_t kRowsAtOnce = 1000;
constexpr std::size_t kGroupsAtOnce = 16;

// Up to this id addresses were taken away. Rows that are written later may get ids of removed ones.
constexpr const char* kLowerTruncated =
    "UPDATE about SET value = min(value, ifnull((SELECT max(id) FROM messages), 0)) WHERE key = "
    "'truncated_to'";

// Whether a row with these two texts, either of which may be empty, is to go.
using Wanted = std::function<bool(std::string_view address, std::string_view network)>;

std::optional<net::Endpoint> address_in(std::string_view text) {
  return net::Endpoint::parse_address(text.substr(0, text.find('/')), 0);
}

Wanted plain(const net::Network& who) {
  return [who](std::string_view address, std::string_view network) {
    return is_within(who, address, network);
  };
}

// `who`: an address, or a network that rows have. A keyed form tells nothing of other networks.
Wanted keyed(const std::string& key_file, const std::string& who) {
  const auto client = *address_in(who);
  const bool is_address = who.find('/') == who.npos;
  std::vector<std::string> texts;
  for (const auto& form : AddressForm::of_keys(key_file)) {
    texts.push_back(is_address ? form.address(client) : form.network(client));
  }
  return [texts, is_address](std::string_view address, std::string_view network) {
    const auto text = is_address ? address : network;
    return std::find(texts.begin(), texts.end(), text) != texts.end();
  };
}

// Rows may be from before memory.addresses was changed, so that each form is looked for.
Wanted wanted(const config::Memory& settings, const std::string& who) {
  const auto network = net::Network::parse(who);
  if (!network) {
    throw std::invalid_argument(
        fmt::format("\"{}\" is not an address or a network such as 192.0.2.0/24", who));
  }
  const bool has_form = who.find('/') == who.npos || is_row_network(*network);
  const bool keyed_too = !settings.key_file.empty() && has_form;
  if (settings.addresses == Addresses::Keyed && !keyed_too) {
    throw std::invalid_argument(
        fmt::format("{}: with memory.addresses = \"keyed\" a network can be an IPv4 /24 or an IPv6 "
                    "/48 only, such as {}",
                    who, print_network(*address_in(who))));
  }
  if (!keyed_too) return plain(*network);
  return [by_text = plain(*network), by_key = keyed(settings.key_file, who)](
             std::string_view address, std::string_view net) {
    return by_text(address, net) || by_key(address, net);
  };
}

std::vector<std::int64_t> ids(Database& database, const Wanted& wanted) {
  auto rows = database.prepare("SELECT id, address, network FROM messages ORDER BY id");
  std::vector<std::int64_t> found;
  while (rows.step()) {
    if (wanted(rows.text(1), rows.text(2))) found.push_back(rows.integer(0));
  }
  return found;
}

// Removes a row, unless it has become another one: somebody else may have removed it since it was
// found, and a new row may have its id.
class Remover {
 public:
  Remover(Database& database, const Wanted& wanted)
      : wanted_(wanted),
        find_(database.prepare("SELECT address, network FROM messages WHERE id = ?")),
        remove_(database.prepare("DELETE FROM messages WHERE id = ?")) {}

  bool remove(std::int64_t id) {
    find_.bind(1, id);
    const bool is_there = find_.step() && wanted_(find_.text(0), find_.text(1));
    find_.reset();
    if (!is_there) return false;
    remove_.bind(1, id);
    remove_.run();
    return true;
  }

 private:
  const Wanted& wanted_;
  Statement find_, remove_;
};

// `rows`: in ascending order, so that those of a group are in one transaction, or in two. Returns
// how many were removed.
std::size_t remove(Database& database, std::span<const std::int64_t> rows, const Wanted& wanted) {
  Remover remover(database, wanted);
  std::size_t removed = 0;
  while (!rows.empty()) {
    std::set<std::int64_t> touched;
    std::size_t done = 0;
    Transaction transaction(database);
    while (done < std::min(rows.size(), kRowsAtOnce) && touched.size() < kGroupsAtOnce) {
      const auto id = rows[done++];
      if (!remover.remove(id)) continue;
      touched.insert(group_of(id));
      ++removed;
    }
    // Asked in each transaction, because the memory process may add the tables between two.
    if (RowGroups::are_in(database)) RowGroups(database).renew(touched);
    database.execute(kLowerTruncated);
    transaction.commit();
    rows = rows.subspan(done);
  }
  return removed;
}

std::size_t forget_in(const std::string& file, const Wanted& wanted) {
  Database database(file, Database::Mode::Write);
  {
    auto version = database.prepare("PRAGMA user_version");
    (void)version.step();
    if (version.integer(0) != DayFile::kSchema) {
      throw std::runtime_error(
          fmt::format("{}: has schema {}, which this program cannot change: remove the file", file,
                      version.integer(0)));
    }
  }
  database.execute("PRAGMA secure_delete = ON");
  const auto rows = ids(database, wanted);
  const auto removed = remove(database, rows, wanted);
  if (!rows.empty() && !database.checkpoint()) {
    throw std::runtime_error(fmt::format(
        "{}: another program reads it, so that its write-ahead log still has the rows: try again",
        file));
  }
  return removed;
}

}  // namespace

Forgotten forget(const config::Memory& settings, const std::string& who) {
  const auto is_wanted = wanted(settings, who);
  Forgotten forgotten;
  for (const auto& [day, use] : uses(settings.folder)) {
    for (const auto& name : use.files) {
      const auto file = settings.folder + "/" + name;
      if (name.find(".corrupt-") != name.npos) {
        forgotten.problems.push_back(file + ": is damaged: remove the file");
      }
      if (!name.ends_with(".db")) continue;
      try {
        ++forgotten.files;
        forgotten.rows += forget_in(file, is_wanted);
      } catch (const std::runtime_error& error) {
        forgotten.problems.emplace_back(error.what());
      }
    }
  }
  // Only the memory process may write the table of reputations.
  request_to_forget(settings.folder, *net::Network::parse(who));
  return forgotten;
}

}  // namespace memory
