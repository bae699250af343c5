// Host names of clients, for the lists that trust by name. No look-ups of our own: libmilter has a
// thread a session, and it would wait for a name server with the client's message in its hands.
// Postfix has looked already. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace filter {

// Whether this is a name of the client that Postfix confirmed: from the address to the name and
// from the name back to the address. It says "unknown" or "[192.0.2.7]" otherwise.
bool is_confirmed(std::string_view client_name);

// "example.org" is the end of example.org and mail.example.org, ".example.org" of the latter only,
// neither of badexample.org. Without case; a final dot of the name does not count.
bool ends_in(std::string_view name, std::string_view suffix);
bool ends_in_any(std::string_view name, const std::vector<std::string>& suffixes);

}  // namespace filter
