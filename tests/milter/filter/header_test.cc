#include "milter/filter/header.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "tests/support/terms.h"

using classifier::Action;
using filter::header_value;

namespace {

classifier::Trace trace_of(std::initializer_list<std::uint32_t> sizes) {
  classifier::Trace trace;
  for (const auto size : sizes) {
    classifier::Segment segment;
    segment.size = size;
    trace.segments.push_back(segment);
    trace.size += size;
  }
  return trace;
}

classifier::Verdict template_verdict() {
  classifier::Verdict verdict;
  verdict.pattern = classifier::Pattern::BotTemplate;
  verdict.writer = classifier::Writer::Template;
  verdict.path = classifier::PathShape::Full;
  verdict.confidence = 0.97;
  verdict.score = 8.4;
  verdict.mss = 1440;
  return verdict;
}

std::string unfolded(std::string text) {
  for (auto at = text.find("\n\t"); at != text.npos; at = text.find("\n\t")) {
    const bool in_list = at > 0 && text[at - 1] == ',';
    text.replace(at, 2, in_list ? "" : " ");
  }
  return text;
}

std::string value_of(const classifier::Trace& trace, const classifier::Verdict& verdict,
                     bool tls = false, std::size_t max_runs = 40) {
  return header_value("mx1.example.org", trace, verdict, {}, tls, max_runs);
}

// The width of the widest line, as a reader sees it below "X-Protocol-Pattern: ".
std::size_t widest(const std::string& value) {
  std::istringstream lines("X-Protocol-Pattern: " + value);
  std::size_t result = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line[0] == '\t' ? 7 : 0;
    result = std::max(result, line.size() + tab);
  }
  return result;
}

}  // namespace

TEST_CASE("the header of the documentation comes out as documented") {
  CHECK(value_of(trace_of({399, 29, 184, 1440, 1377}), template_verdict()) ==
        "mx1.example.org; pattern=bot-template; score=8.4;\n"
        "\tconfidence=0.97; action=none; writer=template; path=full;\n"
        "\tgait=unknown; mss=1440; tls=no; segments=399,29,184,1440,1377; v=1");
}

TEST_CASE("the action that was held back follows the action, in monitor mode only") {
  const auto value = [](const policy::Decision& decision) {
    return unfolded(
        header_value("mx1.example.org", trace_of({1}), template_verdict(), decision, false, 40));
  };
  CHECK_THAT(value({Action::None, Action::Reject, policy::HeldBackBy::Monitor}),
             Catch::Contains("; action=none; would=reject; writer="));
  CHECK_THAT(value({Action::Quarantine, Action::Quarantine, policy::HeldBackBy::None}),
             Catch::Contains("; action=quarantine; writer="));
}

TEST_CASE("block follows the path, and via is given only if it was not the kernel") {
  auto verdict = template_verdict();
  verdict.block = 4096;
  auto trace = trace_of({1448, 1448, 1200});
  trace.via = classifier::Via::Read;
  const auto value = unfolded(value_of(trace, verdict));
  CHECK(value.find("; path=full; block=4096; via=read; gait=") != value.npos);
}

TEST_CASE("a class follows the gait, if there is one") {
  auto verdict = template_verdict();
  verdict.gait_class = classifier::GaitClass::OfficialMta;
  const auto value = unfolded(value_of(trace_of({1448, 1448, 1200}), verdict));
  CHECK(value.find("; gait=unknown; class=official-mta; mss=") != value.npos);
}

TEST_CASE("an unobserved message has a reason, but no segments and no mss") {
  classifier::Trace trace;
  trace.state = classifier::State::Unobserved;
  trace.reason = classifier::Reason::Timeout;
  CHECK(unfolded(value_of(trace, {}, true)) ==
        "mx1.example.org; pattern=unobserved; score=0.0; confidence=0.00; action=none; "
        "writer=unknown; path=unknown; gait=unknown; tls=yes; reason=timeout; v=1");
}

TEST_CASE("a balancer's connection is marked as one, observed or not") {
  auto trace = trace_of({1448});
  trace.via = classifier::Via::Balancer;
  CHECK(unfolded(value_of(trace, template_verdict())).find("; via=balancer; gait=") !=
        std::string::npos);
  CHECK(unfolded(value_of(classifier::unobserved(classifier::Reason::Balancer, 1), {})) ==
        "mx1.example.org; pattern=unobserved; score=0.0; confidence=0.00; action=none; "
        "writer=unknown; path=unknown; via=balancer; gait=unknown; tls=no; reason=balancer; v=1");
}

TEST_CASE("a partial trace has its segments and its reason") {
  auto trace = trace_of({1448});
  trace.state = classifier::State::Partial;
  trace.reason = classifier::Reason::Full;
  const auto value = unfolded(value_of(trace, template_verdict()));
  CHECK(value.find("; segments=1448; reason=full; v=1") != value.npos);
}

TEST_CASE("the reasons come before the version, folded after their commas") {
  auto verdict = template_verdict();
  verdict.reasons.add(classifier::Because::InsideHeader, 2);
  verdict.reasons.add_term(classifier::term("bot-template", 3.9));
  const auto value = value_of(trace_of({399, 29, 184, 1440, 1377}), verdict);
  CHECK(unfolded(value).ends_with("; why=inside-header:2,bot-template:+3.9; v=1"));
  for (int i = 0; i < 18; ++i)
    verdict.reasons.add(classifier::Because::FullSizeMoves, 1400, 536, 9);
  CHECK(widest(value_of(trace_of({399}), verdict)) < 78);
}

TEST_CASE("a score of minus zero is printed as zero") {
  auto verdict = template_verdict();
  verdict.score = -0.04;
  CHECK(value_of(trace_of({1}), verdict).find("score=0.0;") != std::string::npos);
}

TEST_CASE("lines are under 78 columns however long the segments list is") {
  auto trace = trace_of({});
  for (std::uint32_t i = 0; i < 500; ++i) {
    classifier::Segment segment;
    segment.size = 1000 + i;
    trace.segments.push_back(segment);
  }
  const std::size_t runs = GENERATE(1u, 5u, 9u, 10u, 11u, 12u, 40u, 500u);
  const auto value = value_of(trace, template_verdict(), false, runs);
  CHECK(widest(value) < 78);
  CHECK(value.find('\r') == value.npos);
  // Every break follows a separator, so no word is cut.
  for (auto at = value.find("\n\t"); at != value.npos; at = value.find("\n\t", at + 1)) {
    CHECK((value[at - 1] == ';' || value[at - 1] == ','));
  }
  const auto left = runs < 500 ? ",+" + std::to_string(500 - runs) + "; v=1" : ",1499; v=1";
  CHECK(unfolded(value).find(left) != std::string::npos);
}

TEST_CASE("the value cannot carry anything but printable ASCII and folding") {
  auto verdict = template_verdict();
  verdict.gait = "ev\til;\r\nX-Evil: 1";
  const auto value = header_value("mx\r\nX-Evil: 1;\xff", trace_of({1}), verdict, {}, false, 40);
  CHECK(value.rfind("mxX-Evil:1;", 0) == 0);
  CHECK(unfolded(value).find("gait=evilX-Evil:1;") != std::string::npos);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const bool folding = value[i] == '\n' ? value[i + 1] == '\t' : value[i] == '\t';
    CHECK((folding || (value[i] >= ' ' && value[i] < 0x7f)));
  }
}

TEST_CASE("a header with a seal is believed by its reader, and is folded and narrow") {
  const seal::Key key{std::string(32, 'i'), std::string(32, 'k')};
  const seal::Digest identity{1, 2, 3};
  const filter::Signing signing{key, identity, seal::Seconds(1764108000)};
  auto trace = trace_of({});
  for (std::uint32_t i = 0; i < 60; ++i) {
    classifier::Segment segment;
    segment.size = 1000 + i;
    trace.segments.push_back(segment);
  }
  const auto value =
      header_value("mx2.example.org", trace, template_verdict(), {}, true, 40, &signing);
  CHECK(widest(value) < 78);
  CHECK(unfolded(value).ends_with("; v=1"));
  CHECK(unfolded(value).find("; seal=" + key.id + ",1764108000,") != std::string::npos);
  const auto check = [&](const std::string& text) {
    return seal::check(text, identity, {key}, signing.now, seal::Seconds(60));
  };
  CHECK(check(value) == seal::Result::Good);
  CHECK(check(unfolded(value)) == seal::Result::Good);
  CHECK(check(header_value("mx2.example.org", trace, template_verdict(), {}, true, 40)) ==
        seal::Result::Unsigned);
}

TEST_CASE("a host name without a usable character becomes localhost") {
  CHECK(filter::host_word("") == "localhost");
  CHECK(filter::host_word("; ;\xff") == "localhost");
  CHECK(filter::host_word(std::string(5000, 'a')).size() == 255);
}

TEST_CASE("only exactly this name is ours, in upper or lower case") {
  CHECK(filter::is_own_header("X-Protocol-Pattern"));
  CHECK(filter::is_own_header("x-protocol-PATTERN"));
  CHECK_FALSE(filter::is_own_header("X-Protocol-Patterns"));
  CHECK_FALSE(filter::is_own_header("X-Protocol-Patter"));
  CHECK_FALSE(filter::is_own_header(""));
}
