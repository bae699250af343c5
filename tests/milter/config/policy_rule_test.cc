// Tests milter/config/policy_rule and the section [policy_service] as it is read.
#include "milter/config/policy_rule.h"

#include <catch2/catch.hpp>
#include <string>

#include "milter/config/load.h"

using config::parse_policy_answer;
using config::PolicyAnswer;
using config::PolicyState;
using Kind = config::PolicyAnswer::Kind;

namespace {

const std::string kFront = "[policy_service]\nsocket = \"unix:/run/p.sock\"\n";

std::string error_of(const std::string& text) {
  try {
    (void)config::parse(text, "f");
  } catch (const config::ConfigError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an answer is read as access(5) has it") {
  struct Row {
    const char* text;
    Kind kind;
    const char* answer;
  };
  const Row rows[] = {
      {"DUNNO", Kind::Dunno, "DUNNO"},
      {"dunno", Kind::Dunno, "DUNNO"},
      {"REJECT 5.7.1 Refused", Kind::Reject, "REJECT 5.7.1 Refused"},
      {"REJECT No mail from you", Kind::Reject, "REJECT No mail from you"},
      {"defer_if_permit 4.7.1 Later", Kind::DeferIfPermit, "DEFER_IF_PERMIT 4.7.1 Later"},
      {"DEFER Later", Kind::Defer, "DEFER Later"},
      {"HOLD", Kind::Hold, "HOLD"},
      {"HOLD to look at", Kind::Hold, "HOLD to look at"},
      {"PREPEND X-History: bad", Kind::Prepend, "PREPEND X-History: bad"},
      {"FILTER smtp:[127.0.0.1]:10026", Kind::Filter, "FILTER smtp:[127.0.0.1]:10026"},
      {"strict", Kind::Class, "strict"},
      {"reject_unverified_sender", Kind::Class, "reject_unverified_sender"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto parsed = parse_policy_answer(row.text);
    REQUIRE(std::holds_alternative<PolicyAnswer>(parsed));
    CHECK(std::get<PolicyAnswer>(parsed) == PolicyAnswer{row.kind, row.answer});
  }
}

TEST_CASE("an answer that would permit, lose or break something is refused") {
  const std::string texts[] = {"",
                               "OK",
                               "PERMIT",
                               "permit_mynetworks",
                               "250",
                               "DISCARD",
                               "DISCARD quietly",
                               "REDIRECT a@b.example",
                               "REJECT",
                               "REJECT 4.7.1 Later",
                               "DEFER_IF_PERMIT 5.7.1 No",
                               "DEFER_IF_PERMIT",
                               "DUNNO really",
                               "PREPEND",
                               "PREPEND no field",
                               "PREPEND X-A:",
                               "PREPEND : a",
                               "PREPEND X A: b",
                               "PREPEND X-Protocol-Pattern: mx; pattern=official-mta; v=1",
                               "FILTER",
                               "FILTER smtp",
                               "FILTER smtp:[127.0.0.1] 10026",
                               "strict, permit",
                               "REJECT a\nX-Injected: b",
                               "PREPEND X-A: b\r\nX-Injected: c",
                               "REJECT " + std::string(600, 'x')};
  for (const auto& text : texts) {
    INFO(text);
    CHECK(std::holds_alternative<std::string>(parse_policy_answer(text)));
  }
}

TEST_CASE("rules are read in the order of the file and printed so that they can be read again") {
  const auto config = config::parse(kFront + R"(
[[policy_service.rule]]
network = ["192.0.2.0/24"]
answer = "DUNNO"
[[policy_service.rule]]
state = ["RCPT", "DATA"]
reputation = 2.5
talk = ["early", "helo-ahead"]
listener = ["strict"]
answer = "REJECT 5.7.1 \"No\""
[[policy_service.rule]]
reputation = 1
greylist = true
answer = "DEFER_IF_PERMIT 4.7.1 Later"
[[policy_service.rule]]
pattern = ["bot-template"]
score = 4.5
answer = "FILTER smtp:[127.0.0.1]:10026"
)",
                                    "f");
  const auto& rules = config.policy_service.rules;
  REQUIRE(rules.size() == 4);
  CHECK(rules[0].networks.size() == 1);
  CHECK(rules[1].states == (bit_of(PolicyState::Rcpt) | bit_of(PolicyState::Data)));
  CHECK(rules[1].answer.text == "REJECT 5.7.1 \"No\"");
  CHECK(rules[2].greylist);
  CHECK(rules[2].states == bit_of(PolicyState::Rcpt));
  CHECK(rules[3].states == bit_of(PolicyState::EndOfMessage));
  const auto printed = config::print(config);
  CAPTURE(printed);
  CHECK(config::print(config::parse(printed, "f")) == printed);
  CHECK(printed.find("talk = [\"early\", \"helo-ahead\"]") != printed.npos);
}

TEST_CASE("a rule that cannot be meant is refused with its line, number and reason") {
  struct Row {
    const char* rule;
    const char* error;
  };
  const Row rows[] = {
      {"talk = [\"early\"]", "f:4: policy_service.rule[1]: the rule has no answer"},
      {"answer = \"REJECT no\"", "f:4: policy_service.rule[1]: the rule holds for every client"},
      {"talk = [\"blank-end\"]\nanswer = \"REJECT no\"",
       "f:5: policy_service.rule[1].talk: \"blank-end\" is not one of lower, early"},
      {"talk = []\nanswer = \"REJECT no\"", "f:5: policy_service.rule[1].talk: the list is empty"},
      {"state = [\"RCTP\"]\nanswer = \"DUNNO\"", "f:5: policy_service.rule[1].state: \"RCTP\""},
      {"pattern = [\"bot\"]\nanswer = \"REJECT no\"", "f:5: policy_service.rule[1].pattern:"},
      {"talks = [\"early\"]\nanswer = \"REJECT no\"",
       "f:5: policy_service.rule[1].talks: unknown setting; did you mean talk?"},
      {"talk = [\"early\"]\nanswer = \"OK\"", "f:6: policy_service.rule[1].answer: \"OK\""},
      {"state = [\"RCPT\"]\nscore = 4\nanswer = \"REJECT no\"", "at END-OF-MESSAGE only"},
      {"score = 4\nanswer = \"PREPEND X-A: b\"", "not at END-OF-MESSAGE"},
      {"talk = [\"early\"]\ngreylist = true\nanswer = \"REJECT no\"", "greylist needs an answer"},
      {"talk = [\"early\"]\nstate = [\"DATA\"]\ngreylist = true\nanswer = \"DEFER no\"",
       "greylist is for the state RCPT"},
      {"reputation = 99\nanswer = \"REJECT no\"", "f:5: policy_service.rule[1].reputation:"},
  };
  for (const Row& row : rows) {
    INFO(row.rule);
    const auto error =
        error_of(kFront + "\n[[policy_service.rule]]\n" + std::string(row.rule) + "\n");
    CAPTURE(error);
    CHECK(error.find(row.error) != error.npos);
  }
}

TEST_CASE("a service that cannot work is refused") {
  CHECK(error_of("[[policy_service.rule]]\ntalk = [\"early\"]\nanswer = \"REJECT no\"\n")
            .find("policy_service.socket is not set") != std::string::npos);
  CHECK(error_of("[filter]\nsocket = \"unix:/run/p.sock\"\n" + kFront)
            .find("filter.socket is the same") != std::string::npos);
  CHECK(error_of("[evidence]\nsocket = \"/run/p.sock\"\n" + kFront)
            .find("evidence.socket has the same path") != std::string::npos);
  CHECK(error_of(kFront + "greylist_after = \"2h\"\ngreylist_until = \"1h\"\n")
            .find("greylist_until") != std::string::npos);
  CHECK(error_of("[policy_service]\nrule = 1\n").find("has to be a section") != std::string::npos);
  CHECK(
      error_of("[policy_service]\nsocket = \"/run/p.sock\"\n").find("write \"unix:/run/p.sock\"") !=
      std::string::npos);
}
