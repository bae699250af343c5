#include "milter/history/selection.h"

#include <catch2/catch.hpp>
#include <string>
#include <variant>

#include "tests/support/sightings.h"

using history::Pairs;
using history::parse;
using history::Selection;
using history::SelectionError;
using memory::at_ms;
using memory::kNoon;

namespace {

Selection read(const Pairs& pairs) {
  const auto result = parse(pairs, at_ms(kNoon));
  if (const auto* error = std::get_if<SelectionError>(&result)) FAIL(error->message);
  return std::get<Selection>(result);
}

std::string refused(const Pairs& pairs) {
  const auto result = parse(pairs, at_ms(kNoon));
  const auto* error = std::get_if<SelectionError>(&result);
  return error == nullptr ? "" : error->message;
}

}  // namespace

TEST_CASE("nothing given selects every message") {
  CHECK(read({}) == Selection());
}

TEST_CASE("times are days, times of RFC 3339, or a duration before now") {
  struct Row {
    const char* what;
    history::Pair pair;
    std::int64_t from;
  };
  constexpr std::int64_t kHour = 3'600'000;
  const Row rows[] = {
      {"a day", {"from", "2026-11-27"}, kNoon - 12 * kHour},
      {"a time", {"from", "2026-11-27T11:00:00Z"}, kNoon - kHour},
      {"a time with a zone", {"from", "2026-11-27T12:00:00.500+01:00"}, kNoon - kHour + 500},
      {"hours", {"since", "48h"}, kNoon - 48 * kHour},
      {"minutes", {"since", "15m"}, kNoon - kHour / 4},
      {"days", {"since", "14d"}, kNoon - 14 * 24 * kHour},
      {"weeks", {"since", "2w"}, kNoon - 14 * 24 * kHour},
      {"longer than there is time", {"since", "4294967295w"}, 0},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(read({row.pair}).from == at_ms(row.from));
  }
  CHECK(read({{"from", "2026-11-26"}, {"to", "2026-11-27"}}).to == at_ms(kNoon - 12 * kHour));
}

TEST_CASE("words are one or several, and a ! excludes them") {
  CHECK(read({{"pattern", "mobile"}}).pattern == history::Values{false, {"mobile"}});
  CHECK(read({{"pattern", "!official-mta,relay"}}).pattern ==
        history::Values{true, {"official-mta", "relay"}});
  CHECK(read({{"gait", "postfix"}}).gait.any.front() == "postfix");
  CHECK(read({{"class", "bot"}}).gait_class.any.front() == "bot");
  CHECK(read({{"would", "tempfail,reject"}}).would.any.size() == 2);
  CHECK(read({{"held", "percent"}}).held.any.front() == "percent");
  CHECK(read({{"basis", "failed"}}).basis.any.front() == "failed");
  CHECK(read({{"reason", "timeout"}}).reason.any.front() == "timeout");
  CHECK(read({{"queue-id", "4fXyZ12abc"}}).queue_id.any.front() == "4fXyZ12abc");
  CHECK(read({{"listener", "mx.example_1"}}).listener.any.front() == "mx.example_1");
}

TEST_CASE("a client is an address, a network, or what stands in the store for one") {
  using Kind = history::Client::Kind;
  CHECK(read({{"client", "192.0.2.7"}}).client->kind == Kind::Address);
  CHECK(read({{"client", "2001:db8::7"}}).client->kind == Kind::Address);
  CHECK(read({{"client", "!192.0.2.0/24"}}).client->kind == Kind::Network);
  CHECK(read({{"client", "!192.0.2.0/24"}}).client->excluded);
  CHECK(read({{"client", "0123456789abcdef"}}).client->kind == Kind::Keyed);
}

TEST_CASE("scores are numbers") {
  CHECK(read({{"min-score", "-1.5"}}).min_score == -1.5);
  CHECK(read({{"max-score", "6"}}).max_score == 6);
}

TEST_CASE("what is nearly right is refused in one line that says why") {
  struct Row {
    const char* what;
    Pairs pairs;
    const char* says;
  };
  const Row rows[] = {
      {"another key", {{"patern", "mobile"}}, "\"patern\" is not a key; the keys are: from, to"},
      {"another pattern",
       {{"pattern", "bot"}},
       "pattern: \"bot\" is not a pattern; write one of: unobserved, indistinct, bot-template"},
      {"capitals", {{"pattern", "Mobile"}}, "is not a pattern"},
      {"a blank", {{"pattern", "mobile, relay"}}, "\" relay\" is not a pattern"},
      {"nothing", {{"pattern", ""}}, "pattern: a value is empty"},
      {"nothing behind a comma", {{"pattern", "mobile,"}}, "pattern: a value is empty"},
      {"only a !", {{"pattern", "!"}}, "pattern: a value is empty"},
      {"a second !", {{"pattern", "!mobile,!relay"}}, "one ! in front of the first value"},
      {"a key twice", {{"gait", "exim"}, {"gait", "qmail"}}, "gait: it is given twice"},
      {"another action", {{"would", "refuse"}}, "would: \"refuse\" is not an action"},
      {"no time", {{"from", "yesterday"}}, "from: \"yesterday\" is not a time"},
      {"no such day", {{"from", "2026-13-01"}}, "is not a time"},
      {"a time without a zone", {{"to", "2026-11-27T12:00:00"}}, "is not a time"},
      {"an excluded time", {{"from", "!2026-11-27"}}, "cannot be excluded"},
      {"no unit", {{"since", "48"}}, "since: \"48\" is not a duration: write 15m, 48h"},
      {"no number", {{"since", "h"}}, "is not a duration"},
      {"no duration", {{"since", ""}}, "is not a duration"},
      {"no time at all", {{"since", "0h"}}, "is not a duration"},
      {"a sign", {{"since", "-1h"}}, "is not a duration"},
      {"both", {{"since", "1h"}, {"from", "2026-11-27"}}, "since: it cannot be used with from"},
      {"in the wrong order",
       {{"from", "2026-11-27"}, {"to", "2026-11-26"}},
       "to: it is not later than from"},
      {"no address", {{"client", "192.0.2"}}, "client: \"192.0.2\" is not an address"},
      {"no network", {{"client", "192.0.2.0/33"}}, "is not an address or a network"},
      {"a name", {{"client", "mx.example.org"}}, "is not an address"},
      {"no score", {{"min-score", "high"}}, "is not a score"},
      {"no number", {{"max-score", "nan"}}, "is not a score"},
      {"scores in the wrong order",
       {{"min-score", "5"}, {"max-score", "4"}},
       "max-score: it is lower"},
      {"another character", {{"queue-id", "4f'; DROP"}}, "is not a queue id"},
      {"bytes of a terminal", {{"gait", "\x1b[31m"}}, "gait: \"\\x1b[31m\" is not a gait"},
      {"bytes of a terminal in a key", {{"\x1b[31m", "x"}}, "\"\\x1b[31m\" is not a key"},
      {"a long gait", {{"gait", std::string(25, 'a')}}, "longer than 24"},
      {"a long value", {{"gait", std::string(1025, 'a')}}, "the value is longer than 1024 bytes"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK_THAT(refused(row.pairs), Catch::Contains(row.says));
    CHECK(refused(row.pairs).find('\n') == std::string::npos);
  }
  std::string many = "a";
  for (std::size_t i = 0; i < history::Values::kMost; ++i) many += ",a";
  CHECK_THAT(refused({{"gait", many}}), Catch::Contains("more than 32 values"));
}

TEST_CASE("a selection is printed as pairs that select the same") {
  const Pairs all = {{"from", "2026-11-26T00:00:00.000Z"},
                     {"to", "2026-11-27T07:00:00.123Z"},
                     {"client", "!192.0.2.0/24"},
                     {"min-score", "0.1"},
                     {"max-score", "6.5"},
                     {"pattern", "!mobile,relay"},
                     {"gait", "exim"}};
  CHECK(print(read(all)) == all);
  CHECK(read(print(read({{"since", "48h"}}))) == read({{"since", "48h"}}));
}

TEST_CASE("each key has a text for help") {
  for (const auto& key : history::keys()) {
    CHECK_FALSE(key.name.empty());
    CHECK(std::string(key.help).size() > 5);
  }
}
