#include "milter/filter/host_names.h"

#include <algorithm>

#include "text/ascii.h"

namespace filter {

bool is_confirmed(std::string_view client_name) {
  constexpr std::string_view kUnknown = "unknown";
  if (client_name.empty() || client_name.front() == '[') return false;
  return !text::same(client_name, kUnknown);
}

bool ends_in(std::string_view name, std::string_view suffix) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (suffix.empty() || suffix.size() > name.size()) return false;
  const auto front = name.size() - suffix.size();
  if (!text::same(name.substr(front), suffix)) return false;
  if (suffix.front() == '.') return front != 0;
  return front == 0 || name[front - 1] == '.';
}

bool ends_in_any(std::string_view name, const std::vector<std::string>& suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [name](const std::string& suffix) { return ends_in(name, suffix); });
}

}  // namespace filter
