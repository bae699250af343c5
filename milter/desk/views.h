// The pages, one function each: from what was looked up to HTML. Each view has a file of its own,
// view_NAME.cc. Pure; any thread.
#pragma once

#include <string>

#include "milter/desk/findings.h"
#include "milter/desk/frame.h"
#include "milter/history/selection.h"

namespace desk {

// "/": whether all is well, what came in 48 hours, and what has changed.
std::string view_now(const Overview& overview, const Context& context);

// "/messages": rows, and a form for what is selected. `query`: as it was asked, with the place in
// the history; the links to older and newer rows are made from it.
struct Listing {
  history::Pairs query;  // without `before` and `after`
  bool is_first = true;  // there are no newer rows
};
std::string view_messages(const Rows& rows, const Listing& listing, const Context& context);

// "/messages/QUEUEID": why a message has its label. `rows`: it, and others of the same id.
// Requires: there is one.
std::string view_message(const Rows& rows, const Context& context);

// "/senders?by=net|gait|pattern".
enum class By : std::uint8_t { Network, Gait, Pattern };
std::string view_senders(const Overview& overview, By by, const Context& context);

// "/what-if": who would be refused with other thresholds. `selection`: the query without
// thresholds.
std::string view_what_if(const Estimate& estimate, const Thresholds& thresholds,
                         const history::Pairs& selection, const Context& context);

// "/health". `overview`: null where the store cannot be read, and `why` says why (plain text).
std::string view_health(const Overview* overview, const std::string& why, const Context& context);

// One paragraph: all is well, or what is not. Also for `/`.
std::string health_line(const Overview* overview, const Context& context);

// What is not well, in plain sentences; the worst first. Empty: nothing is known.
std::vector<std::string> complaints(const Overview* overview, const Context& context);

}  // namespace desk
