#include "milter/history/client_condition.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "milter/memory/address_form.h"

namespace history {

using Addresses = config::Memory::Addresses;

ClientCondition::ClientCondition(const config::Memory& settings,
                                 const std::optional<Client>& client) {
  if (!client) return;
  excluded_ = client->excluded;
  if (client->kind == Client::Kind::Keyed) {
    columns_ = {"address", "network"};
    texts_ = {client->text};
    return;
  }
  const bool is_address = client->kind == Client::Kind::Address;
  const bool is_keyed = settings.addresses == Addresses::Keyed;
  if (!is_address && client->text != memory::print_network(client->first)) {
    if (is_keyed) {
      throw std::invalid_argument(
          fmt::format("client: \"{}\": with memory.addresses = \"keyed\" a network can be an IPv4 "
                      "/24 or an IPv6 "
                      "/48 only, such as {}",
                      client->text, memory::print_network(client->first)));
    }
    wanted_ = [who = client->network, excluded = excluded_](std::string_view address,
                                                            std::string_view network) {
      return memory::is_within(who, address, network) != excluded;
    };
    return;
  }
  // Rows of the time before the setting was changed have the other form.
  columns_ = {is_address ? "address" : "network"};
  texts_ = {is_address ? client->first.print_address() : client->text};
  if (!is_keyed) return;
  const memory::AddressForm form(settings);
  texts_.push_back(is_address ? form.address(client->first) : form.network(client->first));
}

void ClientCondition::add_to(Condition& condition) const {
  if (columns_.empty()) return;
  // Without the address, it is not known to be the client's; and a plain column can use an index.
  const auto* form = excluded_ ? "ifnull({}, '') IN ({})" : "{} IN ({})";
  std::string any;
  for (const auto* column : columns_) {
    any += any.empty() ? "" : " OR ";
    any += fmt::format(fmt::runtime(form), column, texts_.size() == 1 ? "?" : "?,?");
    condition.texts.insert(condition.texts.end(), texts_.begin(), texts_.end());
  }
  condition.add(fmt::format("{}({})", excluded_ ? "NOT " : "", any));
  condition.is_needle = condition.is_needle || !excluded_;
}

}  // namespace history
