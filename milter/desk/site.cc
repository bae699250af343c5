#include "milter/desk/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "milter/desk/lists.h"
#include "milter/desk/metrics.h"
#include "milter/desk/query.h"
#include "milter/desk/views.h"
#include "milter/page/page.h"
#include "text/printable.h"

namespace desk {
namespace {

using history::Pairs;
using Kind = Lookups::Kind;

constexpr std::size_t kRowsOfAPage = 50;
constexpr std::size_t kRowsOfAList = 10'000;
constexpr std::size_t kLongestQueueId = 64;

// Takes the value of a key out of the pairs. Nothing: it is not there.
std::optional<std::string> take(Pairs& pairs, std::string_view key) {
  const auto found =
      std::find_if(pairs.begin(), pairs.end(), [key](const auto& pair) { return pair.key == key; });
  if (found == pairs.end()) return std::nullopt;
  auto value = std::move(found->value);
  pairs.erase(found);
  return value;
}

std::string no_key(const std::string& key, std::string_view there) {
  return fmt::format("\"{}\" is not a key of this page; {}", text::printable(key), there);
}

bool is_queue_id(std::string_view text) {
  return text == "-" || (!text.empty() && text.size() <= kLongestQueueId &&
                         std::all_of(text.begin(), text.end(), [](char c) {
                           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                                  (c >= 'a' && c <= 'z');
                         }));
}

// "6", "7.5" or "off".
std::optional<double> read_threshold(std::string_view text) {
  if (text == "off") return std::numeric_limits<double>::infinity();
  double value = 0;
  constexpr double kMost = 1000;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return std::abs(value) <= kMost ? std::optional(value) : std::nullopt;
}

// Takes the thresholds out of the pairs. One that is not given is that of the configuration.
std::variant<Thresholds, std::string> take_thresholds(Pairs& pairs,
                                                      const classifier::Policy& policy) {
  Thresholds thresholds{policy.tempfail, policy.quarantine, policy.reject};
  struct Key {
    const char* name;
    double* threshold;
  };
  for (const auto& [name, threshold] :
       {Key{"tempfail", &thresholds.tempfail}, Key{"quarantine", &thresholds.quarantine},
        Key{"reject", &thresholds.reject}}) {
    const auto text = take(pairs, name);
    if (!text) continue;
    const auto value = read_threshold(*text);
    if (!value) {
      return fmt::format(
          "{}: \"{}\" is not a threshold: write a score between -1000 and 1000, or off", name,
          text::printable(*text));
    }
    *threshold = *value;
  }
  double below = -std::numeric_limits<double>::infinity();
  for (const double one : {thresholds.tempfail, thresholds.quarantine, thresholds.reject}) {
    if (std::isinf(one)) continue;
    if (one < below) return "tempfail must not be above quarantine, nor quarantine above reject";
    below = one;
  }
  return thresholds;
}

}  // namespace

Site::Site(std::shared_ptr<const config::Config> config, const process::Families& families,
           Lookups& lookups, Clock now)
    : config_(std::move(config)), families_(families), lookups_(lookups), now_(std::move(now)) {}

std::optional<Response> Site::answer(const Request& request) {
  Asked asked{request, request.path};
  const auto& path = request.path;
  if (path == "/metrics") return Response{.type = kMetricsType, .body = metrics(families_)};
  if (path == kStylePath) return Response{.type = "text/css", .body = std::string(page::kStyle)};
  if (path == kScriptPath) return Response{.type = "text/javascript", .body = std::string(kScript)};
  for (const auto& [end, form] : {std::pair{".json", Form::Json}, std::pair{".csv", Form::Csv}}) {
    if (!path.ends_with(end)) continue;
    asked.form = form;
    asked.view = path.substr(0, path.size() - std::string_view(end).size());
  }
  const bool has_csv = asked.view == "/messages" || asked.view == "/senders";
  const bool is_known_form = asked.form != Form::Csv || has_csv;
  if (asked.view == "/" || (asked.view == "/now" && asked.form == Form::Json)) return now(asked);
  if (asked.view == "/messages") return messages(asked);
  if (asked.view == "/senders") return senders(asked);
  if (asked.view == "/what-if" && is_known_form) return what_if(asked);
  if (asked.view == "/health" && is_known_form) return health(asked);
  if (asked.view.starts_with("/messages/") && is_known_form) return message(asked);
  return refuse(asked, 404,
                "There is no such page. There are: / /messages /messages/QUEUEID /senders /what-if "
                "/health /metrics");
}

void Site::prepare() {
  (void)overview();
  (void)answer({.path = "/what-if", .query = {}});
}

Lookups::Kept Site::overview() {
  return lookups_.ask("overview", Kind::Standing, [now = now_](history::History& history) {
    return find_overview(history, now());
  });
}

Context Site::context(const Lookups::Kept& kept) const {
  const auto age = kept == nullptr ? Lookups::Clock::duration(0) : Lookups::Clock::now() - kept->at;
  return {.config = *config_,
          .families = families_,
          .now = now_(),
          .age = std::chrono::duration_cast<std::chrono::seconds>(age).count()};
}

Response Site::refuse(const Asked& asked, int code, const std::string& text) const {
  if (asked.form != Form::Html) return {.code = code, .type = kText, .body = text + "\n"};
  return {.code = code,
          .body = notice(code == 404 ? "Not found" : "This cannot be shown", text, context())};
}

std::optional<Response> Site::instead(const Asked& asked, const Lookups::Kept& kept) const {
  if (kept != nullptr) {
    const auto why = config_->memory.enabled
                         ? kept->error
                         : kept->error + "; memory.enabled is false, so nothing is remembered";
    return refuse(asked, 503, why);
  }
  if (!asked.request.is_last_call) return std::nullopt;
  if (asked.form == Form::Html) return Response{.body = patience(asked.view, context())};
  auto refused = refuse(asked, 503, "the store is being searched; ask again in a second");
  refused.retry_after = 1;
  return refused;
}

std::optional<Response> Site::now(const Asked& asked) {
  if (!asked.request.query.empty()) {
    return refuse(asked, 400, no_key(asked.request.query.front().key, "it has no keys"));
  }
  const auto kept = overview();
  if (kept == nullptr || !kept->error.empty()) return instead(asked, kept);
  const auto& found = std::get<Overview>(kept->found);
  if (asked.form == Form::Json) {
    return Response{.type = kJson, .body = overview_json(found, context(kept))};
  }
  return Response{.body = view_now(found, context(kept))};
}

std::optional<Response> Site::senders(const Asked& asked) {
  auto query = asked.request.query;
  const auto by = take(query, "by").value_or("net");
  if (!query.empty()) return refuse(asked, 400, no_key(query.front().key, "its key is: by"));
  if (by != "net" && by != "gait" && by != "pattern") {
    return refuse(asked, 400, "by: write net, gait or pattern");
  }
  const auto kept = overview();
  if (kept == nullptr || !kept->error.empty()) return instead(asked, kept);
  const auto& found = std::get<Overview>(kept->found);
  const auto& groups = by == "net" ? found.networks : by == "gait" ? found.gaits : found.patterns;
  const auto* key = by == "net" ? "network" : by.c_str();
  if (asked.form == Form::Json) return Response{.type = kJson, .body = groups_json(groups, key)};
  if (asked.form == Form::Csv) {
    return Response{.type = kCsv, .body = groups_csv(groups, key), .file = "senders.csv"};
  }
  const auto choice = by == "net" ? By::Network : by == "gait" ? By::Gait : By::Pattern;
  return Response{.body = view_senders(found, choice, context(kept))};
}

// It is shown without the store too.
std::optional<Response> Site::health(const Asked& asked) {
  if (!asked.request.query.empty()) {
    return refuse(asked, 400, no_key(asked.request.query.front().key, "it has no keys"));
  }
  const auto kept = overview();
  if (kept == nullptr && !asked.request.is_last_call) return std::nullopt;
  const auto* found = kept != nullptr ? std::get_if<Overview>(&kept->found) : nullptr;
  if (asked.form == Form::Json) {
    return Response{.type = kJson, .body = health_json(found, context(kept))};
  }
  const auto why =
      kept == nullptr ? "The messages of the store have not been counted yet." : kept->error;
  return Response{.body = view_health(found, why, context(kept))};
}

std::optional<Response> Site::messages(const Asked& asked) {
  auto query = asked.request.query;
  const auto before = take(query, "before");
  const auto after = take(query, "after");
  const auto selection = history::parse(query, now_());
  if (const auto* error = std::get_if<history::SelectionError>(&selection)) {
    return refuse(asked, 400, error->message);
  }
  const bool is_page = asked.form == Form::Html;
  history::PageRequest request{.rows = is_page ? kRowsOfAPage : kRowsOfAList, .traces = is_page};
  if (before && after) return refuse(asked, 400, "after: it cannot be used with before");
  for (const auto& [text, cursor] :
       {std::pair{&before, &request.before}, std::pair{&after, &request.after}}) {
    if (!*text) continue;
    *cursor = history::parse_cursor(**text);
    if (!*cursor) return refuse(asked, 400, "before, after: it is not a place in the history");
  }
  const auto key = fmt::format("messages {} {} {} {}", request.rows, before.value_or(""),
                               after.value_or(""), print_query(query));
  const auto kept = lookups_.ask(
      key, Kind::Rows,
      [selection = std::get<history::Selection>(selection), request](history::History& history) {
        return find_rows(history, selection, request);
      });
  if (kept == nullptr || !kept->error.empty()) return instead(asked, kept);
  const auto& rows = std::get<Rows>(kept->found);
  if (asked.form == Form::Json) return Response{.type = kJson, .body = messages_json(rows)};
  if (asked.form == Form::Csv) {
    return Response{.type = kCsv, .body = messages_csv(rows), .file = "messages.csv"};
  }
  const Listing listing{.query = query, .is_first = rows.is_newest};
  return Response{.body = view_messages(rows, listing, context(kept))};
}

std::optional<Response> Site::message(const Asked& asked) {
  auto query = asked.request.query;
  const auto at = take(query, "at");
  const auto id = asked.view.substr(std::string_view("/messages/").size());
  const auto cursor = at ? history::parse_cursor(*at) : std::nullopt;
  if (!query.empty()) return refuse(asked, 400, no_key(query.front().key, "its key is: at"));
  if (at && !cursor) return refuse(asked, 400, "at: it is not a place in the history");
  if (!is_queue_id(id) || (id == "-" && !at)) {
    return refuse(asked, 404, "This is not a queue id of Postfix.");
  }
  const auto kept = lookups_.ask(fmt::format("message {} {}", id, at.value_or("")), Kind::Rows,
                                 [id, cursor](history::History& history) {
                                   return find_message(history, id == "-" ? "" : id, cursor);
                                 });
  if (kept == nullptr || !kept->error.empty()) return instead(asked, kept);
  const auto& rows = std::get<Rows>(kept->found);
  if (rows.items.empty()) {
    return refuse(
        asked, 404,
        "The store has no message with this queue id. After three days only the network of "
        "a message is kept, and no queue id.");
  }
  if (asked.form == Form::Json) return Response{.type = kJson, .body = messages_json(rows)};
  return Response{.body = view_message(rows, context(kept))};
}

std::optional<Response> Site::what_if(const Asked& asked) {
  auto query = asked.request.query;
  const auto thresholds = take_thresholds(query, config_->policy);
  if (const auto* wrong = std::get_if<std::string>(&thresholds)) return refuse(asked, 400, *wrong);
  const auto& wanted = std::get<Thresholds>(thresholds);
  const bool has_begin = std::any_of(query.begin(), query.end(), [](const auto& pair) {
    return pair.key == "since" || pair.key == "from";
  });
  if (!has_begin) query.push_back({"since", "48h"});
  const auto first = history::parse(query, now_());
  if (const auto* error = std::get_if<history::SelectionError>(&first)) {
    return refuse(asked, 400, error->message);
  }
  const bool is_default = asked.request.query.empty();
  const auto key = fmt::format("what-if {} {} {} {}", wanted.tempfail, wanted.quarantine,
                               wanted.reject, print_query(query));
  const auto kept =
      lookups_.ask(key, is_default ? Kind::Standing : Kind::Counts,
                   [query, wanted, now = now_](history::History& history) {
                     const auto selection = history::parse(query, now());
                     return find_estimate(history, std::get<history::Selection>(selection), wanted);
                   });
  if (kept == nullptr || !kept->error.empty()) return instead(asked, kept);
  const auto& estimate = std::get<Estimate>(kept->found);
  if (asked.form == Form::Json) {
    return Response{.type = kJson, .body = estimate_json(estimate, wanted)};
  }
  return Response{.body = view_what_if(estimate, wanted, query, context(kept))};
}

}  // namespace desk
