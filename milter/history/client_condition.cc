#include "milter/history/client_condition.h"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "milter/memory/address_form.h"
#include "milter/memory/row_groups.h"

namespace history {

using Addresses = config::Memory::Addresses;

ClientCondition::ClientCondition(const config::Memory& settings,
                                 const std::optional<Client>& client) {
  if (!client) return;
  excluded_ = client->excluded;
  if (client->kind == Client::Kind::Keyed) {
    columns_ = {"address", "network"};
    texts_ = {client->text};
    group_has_ = {{Filed::In::Exact, client->text}, {Filed::In::Networks, client->text}};
    return;
  }
  const bool is_address = client->kind == Client::Kind::Address;
  const bool is_keyed = settings.addresses == Addresses::Keyed;
  if (!is_address && !memory::is_row_network(client->network)) {
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
    for (const auto& text : memory::filed_networks(client->network)) {
      group_has_.push_back({Filed::In::Networks, text});
    }
    if (!excluded_) network_begin_ = memory::row_network_begin(client->network);
    return;
  }
  // Rows of the time before the setting was changed, or the key, have another form.
  columns_ = {is_address ? "address" : "network"};
  texts_ = {is_address ? client->first.print_address() : client->network.print()};
  if (is_keyed) {
    for (const auto& form : memory::AddressForm::of_keys(settings.key_file)) {
      texts_.push_back(is_address ? form.address(client->first) : form.network(client->first));
    }
  }
  for (const auto& text : texts_) {
    group_has_.push_back({is_address ? Filed::In::Exact : Filed::In::Networks, text});
  }
}

void ClientCondition::add_to(Condition& condition) const {
  if (!excluded_ && !group_has_.empty()) condition.group_has.push_back(group_has_);
  if (!network_begin_.empty()) {
    // To look at the text is much faster than to read the address from it.
    condition.add("(network IS NULL OR network GLOB ?)");
    condition.texts.push_back(network_begin_ + "*");
  }
  if (columns_.empty()) return;
  // Without the address, it is not known to be the client's.
  const auto* form = excluded_ ? "ifnull({}, '') IN ({})" : "{} IN ({})";
  std::string marks = "?";
  for (std::size_t i = 1; i < texts_.size(); ++i) marks += ",?";
  std::string any;
  for (const auto* column : columns_) {
    any += any.empty() ? "" : " OR ";
    any += fmt::format(fmt::runtime(form), column, marks);
    condition.texts.insert(condition.texts.end(), texts_.begin(), texts_.end());
  }
  condition.add(fmt::format("{}({})", excluded_ ? "NOT " : "", any));
}

}  // namespace history
