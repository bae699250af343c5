// Host names of clients, for the lists that trust clients by name. There are no DNS look-ups here:
// libmilter has a thread for each session, and it would wait for a name server while the client
// waits for its answer. Postfix has already looked the name up. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace filter {

// Whether `client_name` was confirmed by Postfix: from the address to the name, and from the name
// back to the address. Otherwise Postfix gives "unknown" or "[192.0.2.7]".
bool is_confirmed(std::string_view client_name);

// "example.org" fits example.org and mail.example.org; ".example.org" fits only the latter; neither
// fits badexample.org. Case is ignored, and so is a final dot of the name.
bool ends_in(std::string_view name, std::string_view suffix);
bool ends_in_any(std::string_view name, const std::vector<std::string>& suffixes);

}  // namespace filter
