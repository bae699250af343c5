#include "milter/reputation/network_list.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/lines.h"
#include "text/number.h"

namespace reputation {
namespace {

// The field before the next comma, without blanks around it. Empty if there is none.
std::string_view take_field(std::string_view& line) {
  const auto field = line.substr(0, line.find(','));
  line.remove_prefix(std::min(line.size(), field.size() + 1));
  return text::trimmed(field);
}

bool is_capital(char c) {
  return c >= 'A' && c <= 'Z';
}

bool precedes(const net::Network& a, const net::Network& b) {
  return a.first() != b.first() ? a.first() < b.first() : a.bits() < b.bits();
}

std::string quote(std::string_view field) {
  return fmt::format("\"{}\"", field.substr(0, 64));
}

}  // namespace

// Returns why the line is refused; empty: it is read.
std::string NetworkList::read_row(std::string_view line, Row& row) {
  const auto commas = std::count(line.begin(), line.end(), ',');
  if (commas < 1 || commas > 3) {
    return "expected two to four fields: network,asn,type,country";
  }
  const auto network_text = take_field(line);
  const auto network = net::Network::parse(network_text);
  if (!network) {
    return quote(network_text) + " is not a network such as 192.0.2.0/24 or 2001:db8::/32";
  }
  row.network = *network;
  if (auto asn = take_field(line); !asn.empty()) {
    if (asn.starts_with("AS")) asn.remove_prefix(2);
    const auto number = text::number<std::uint32_t>(asn);
    if (!number || *number == 0) return quote(asn) + " is not the number of an AS";
    row.asn = *number;
  }
  if (const auto word = take_field(line); !word.empty()) {
    const auto access = access_of(word);
    if (!access) return fmt::format("{} is not a type: {}", quote(word), access_words());
    row.access = *access;
  }
  if (const auto country = take_field(line); !country.empty()) {
    if (country.size() != 2 || !is_capital(country[0]) || !is_capital(country[1])) {
      return quote(country) + " is not a country of two capital letters";
    }
    row.country = {country[0], country[1]};
  }
  return {};
}

std::variant<NetworkList, NetworkList::Error> NetworkList::parse(std::string_view text) {
  if (text.size() > kMostText) {
    return Error{0, fmt::format("has more than {} bytes", kMostText)};
  }
  NetworkList list;
  std::vector<std::uint32_t> lines;  // of the rows, for the message about two of one network
  for (std::size_t line = 1; !text.empty(); ++line) {
    const auto words = text::trimmed(text::take_line(text));
    if (words.empty() || words.front() == '#') continue;
    if (list.rows_.size() == kMostRows) {
      return Error{line, fmt::format("has more than {} networks", kMostRows)};
    }
    Row row;
    if (auto why = read_row(words, row); !why.empty()) return Error{line, std::move(why)};
    row.wider = static_cast<std::uint32_t>(line);  // until link()
    list.rows_.push_back(row);
  }
  if (const auto line = list.link(); line != 0) {
    return Error{line, "this network stands on another line too"};
  }
  return list;
}

// Sorts, and finds the wider network of each. Returns the line of a network that is there twice; 0:
// there is none.
std::size_t NetworkList::link() {
  std::stable_sort(rows_.begin(), rows_.end(),
                   [](const Row& a, const Row& b) { return precedes(a.network, b.network); });
  const auto twice = std::adjacent_find(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    return a.network == b.network;
  });
  if (twice != rows_.end()) return std::next(twice)->wider;
  std::uint32_t open = kNone;  // the last row, and by `wider` all that it lies in
  for (std::uint32_t i = 0; i < rows_.size(); ++i) {
    while (open != kNone && !rows_[open].network.contains(rows_[i].network)) {
      open = rows_[open].wider;
    }
    rows_[i].wider = open;
    open = i;
  }
  return 0;
}

NetworkFacts NetworkList::find(const net::Endpoint& client) const {
  const auto after = std::upper_bound(
      rows_.begin(), rows_.end(), client.bytes(),
      [](const auto& address, const Row& row) { return address < row.network.first(); });
  auto at = after == rows_.begin() ? kNone : static_cast<std::uint32_t>(after - rows_.begin() - 1);
  // At most 128 steps: each network is wider than the one before.
  while (at != kNone && !rows_[at].network.contains(client)) at = rows_[at].wider;
  NetworkFacts facts;
  // A fact that the narrowest network does not have may be known of a wider one.
  for (; at != kNone; at = rows_[at].wider) {
    const Row& row = rows_[at];
    if (!facts.asn && row.asn != 0) facts.asn = row.asn;
    if (facts.access == Access::Unknown) facts.access = row.access;
    if (facts.country.empty() && row.country[0] != 0) {
      facts.country.assign(row.country.begin(), row.country.end());
    }
  }
  return facts;
}

}  // namespace reputation
