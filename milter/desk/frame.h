// What all pages of the desk have around their content, and the small parts that they share. All
// texts are HTML unless a comment says otherwise. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/history/row.h"
#include "milter/history/selection.h"
#include "milter/process/metrics.h"

namespace desk {

// What a view knows besides what was looked up. Borrowed for the time of the call.
struct Context {
  const config::Config& config;
  const process::Families& families;
  history::Time now;
  long age = 0;  // seconds since the numbers were counted
};

struct Page {
  std::string_view title;  // plain text
  // The path of its view ("/", "/messages", …), which the navigation marks; another one: none.
  std::string_view view;
  std::string body;
};
std::string frame(const Page& page, const Context& context);

// A page that only says something. `text`: plain.
std::string notice(std::string_view title, std::string_view text, const Context& context);
// The answer is being looked up; the page asks again by itself.
std::string patience(std::string_view view, const Context& context);

// A link to `path` (plain text) with a query.
std::string link(std::string_view path, const history::Pairs& query, std::string_view text);
// To the messages that a query selects. `since` is added where the query has none.
std::string link_messages(const history::Pairs& query, std::string_view text);
std::string link_message(const history::Row& row);

std::string time(history::Time time);                         // an element, in UTC
std::string number(std::uint64_t n);                          // "1,234,567"
std::string per_cent(std::uint64_t part, std::uint64_t all);  // "12.3 %"; "-" of nothing
std::string age(const Context& context);  // "counted 12 seconds ago", a paragraph
// One paragraph each; plain texts.
std::string problems(const std::vector<std::string>& problems);
// A row of facts. Empty values are left out.
struct Fact {
  std::string_view name;
  std::string value;
};
std::string facts(const std::vector<Fact>& facts);

// The addresses of the style sheet and the script, which have to change with their content.
inline constexpr std::string_view kStylePath = "/style.css";
inline constexpr std::string_view kScriptPath = "/desk.js";
extern const std::string_view kScript;  // script.cc

}  // namespace desk
