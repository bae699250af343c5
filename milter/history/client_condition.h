// Which rows are of a client, in each of the forms in which addresses are stored
// (memory/address_form.h). Internal to history.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/history/selection.h"
#include "milter/history/store_file.h"

namespace history {

class ClientCondition {
 public:
  // Throws std::invalid_argument where keyed addresses cannot tell the network, and
  // std::runtime_error for a key file that cannot be read.
  ClientCondition(const config::Memory& settings, const std::optional<Client>& client);

  // What SQLite can compare, and what a group of rows has.
  void add_to(Condition& condition) const;
  // The rest. Always true if needs_rows() is false.
  bool needs_rows() const { return wanted_ != nullptr; }
  bool holds(std::string_view address, std::string_view network) const {
    return wanted_ == nullptr || wanted_(address, network);
  }

 private:
  bool excluded_ = false;
  std::vector<const char*> columns_;  // one of which has to be one of the texts
  std::vector<std::string> texts_;
  std::vector<Filed> group_has_;  // one of these; empty: that is not known
  std::string network_begin_;     // of the text; empty: that is not known
  std::function<bool(std::string_view, std::string_view)> wanted_;
};

}  // namespace history
