// The facade: a trace goes in; pattern, reasons, score and action come out. And recorded traces.
#include "classifier/classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <rapidcheck.h>

#include "classifier/trace_text.h"
#include "tests/support/terms.h"

using namespace classifier;

namespace {

Trace read(const std::string& line) {
  const auto result = parse_trace(line);
  if (const auto* error = std::get_if<TraceError>(&result)) {
    FAIL(line << ": byte " << error->offset << ": " << error->message);
  }
  return std::get<Trace>(result);
}

Verdict judge(const std::string& fields, const Policy& policy = {}) {
  return classify(read("segmilter/1 " + fields), policy);
}

bool has_reason(const Verdict& verdict, std::string_view part) {
  const auto reasons = verdict.reasons.sentences();
  return std::any_of(reasons.begin(), reasons.end(), [part](const std::string& reason) {
    return reason.find(part) != std::string::npos;
  });
}

// "lines|received-first" accepts either.
bool accepts(std::string_view expected, std::string_view answer) {
  while (!expected.empty()) {
    const std::size_t bar = std::min(expected.find('|'), expected.size());
    if (expected.substr(0, bar) == answer) return true;
    expected.remove_prefix(std::min(bar + 1, expected.size()));
  }
  return false;
}

void check_expectation(const std::string& expectation, const Verdict& verdict) {
  std::istringstream words(expectation);
  std::string word;
  words >> word;
  REQUIRE(word == "expect");
  while (words >> word) {
    const std::size_t equals = word.find('=');
    REQUIRE(equals != std::string::npos);
    const std::string key = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    CAPTURE(word);
    if (key == "writer") {
      CHECK((accepts(value, name(verdict.writer)) ? value : std::string(name(verdict.writer))) ==
            value);
    } else if (key == "path") {
      CHECK((accepts(value, name(verdict.path)) ? value : std::string(name(verdict.path))) ==
            value);
    } else if (key == "pattern") {
      CHECK((accepts(value, name(verdict.pattern)) ? value : std::string(name(verdict.pattern))) ==
            value);
    } else {
      REQUIRE(key == "block");
      CHECK(std::to_string(verdict.block) == value);
    }
  }
}

constexpr const char* kTemplate =
    "mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,430,480,610 "
    "seg=399p,29p,184pn,1440,1377pn";

}  // namespace

TEST_CASE("recorded traces and the talk's examples are recognised") {
  int files = 0;
  int traces = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/data")) {
    if (entry.path().extension() != ".trace") continue;
    ++files;
    std::ifstream in(entry.path());
    std::string line;
    std::string expectation;
    while (std::getline(in, line)) {
      if (line.empty() || line.front() == '#') continue;
      if (line.starts_with("expect ")) {
        expectation = line;
        continue;
      }
      CAPTURE(entry.path().string(), expectation, line);
      const Trace trace = read(line);
      CHECK(print(trace) == line);
      const Verdict verdict = classify(trace, Policy{});
      CAPTURE(fmt::format("{}", fmt::join(verdict.reasons.sentences(), "; ")));
      check_expectation(expectation, verdict);
      ++traces;
    }
  }
  CHECK(files >= 2);
  CHECK(traces >= 50);
}

TEST_CASE("a message without evidence is unobserved, with the reason") {
  const Verdict verdict = judge("state=unobserved reason=encrypted");
  CHECK(verdict.pattern == Pattern::Unobserved);
  CHECK(verdict.confidence == 0);
  CHECK(has_reason(verdict, "encrypted"));
  CHECK(judge("mss=1448").pattern == Pattern::Unobserved);
}

TEST_CASE("one segment is indistinct, whatever it holds") {
  const Verdict verdict = judge("mss=920 line1=40 header=302 body=304 dot=3 seg=900pn");
  CHECK(verdict.pattern == Pattern::Indistinct);
  CHECK(verdict.confidence > 0.9);  // the confidence that the message shows no more
}

TEST_CASE("a message is unobserved if the part that was seen shows nothing") {
  const std::string whole = "mss=1448 line1=40 header=302 body=304 dot=3 fields=40,302 ";
  const std::string part = whole + "state=partial reason=dropped size=9000 ";
  for (const char* segments : {"seg=900n", "seg=1448h", "seg=1448h,1448x2,700h"}) {
    const Verdict verdict = judge(part + segments);
    CHECK(verdict.pattern == Pattern::Unobserved);
    CHECK(verdict.confidence == 0);
  }
  CHECK(judge(whole + "seg=900n").pattern == Pattern::Indistinct);
  CHECK(judge(part + "seg=1448x4,200h").pattern == Pattern::OfficialMta);
}

TEST_CASE("without the text, only a buffer's end shows a writer") {
  const auto of = [](const std::string& rest) {
    return judge("via=pcap state=partial reason=dropped mss=1448 dot=3 " + rest);
  };
  CHECK(of("seg=1448x2,1200p,1448x2,1200p,733p").writer == Writer::Blocks);
  CHECK(of("seg=1448x9,733p").writer == Writer::Stream);
  // The only cut may be the header's end.
  const Verdict cut = of("seg=304p,1448x30,733p");
  CHECK(cut.writer == Writer::Unknown);
  // A bot may write like this on any path.
  const Verdict small =
      judge("via=pcap state=partial reason=dropped mss=920 dot=3 seg=304p,920x9,733p");
  CHECK(small.pattern == Pattern::GarageServer);
  CHECK(small.confidence < 0.76);
}

TEST_CASE("answers that were assumed lower the confidence, and the reason says so") {
  const std::string rest = " mss=1448 line1=40 header=302 body=304 dot=3 seg=40pn,1448x9,1181pn";
  const Verdict heard = judge("via=pcap" + rest);
  const Verdict assumed = judge("via=pcap window=one-sided" + rest);
  CHECK(assumed.pattern == heard.pattern);
  CHECK(assumed.confidence == Approx(heard.confidence - 0.05));
  CHECK(has_reason(assumed, "is assumed"));
  CHECK_FALSE(has_reason(heard, "is assumed"));
}

TEST_CASE("a bot's writer shows through a small or moving path") {
  CHECK(
      judge("line1=40 header=302 body=304 dot=3 fields=40,302 seg=86p,948,948p,948,7pn").pattern ==
      Pattern::BotTemplate);
  CHECK(judge("line1=40 header=302 body=304 dot=3 fields=40,302 "
              "seg=304pn,536,536p,536,536p,1400,1400p,7pn")
            .pattern == Pattern::BotHeadersApart);
}

TEST_CASE("the path shows through every other writer") {
  CHECK(judge("line1=40 header=302 body=304 dot=3 fields=40,302 seg=40pn,920x9,7pn").pattern ==
        Pattern::GarageServer);
  CHECK(judge("dot=3 seg=536x7,344p,536x4,1400x3,7pn").pattern == Pattern::Mobile);
}

TEST_CASE("the score is the sum of its terms, and each term is a reason") {
  const Verdict plain = judge(kTemplate);
  CHECK(plain.pattern == Pattern::BotTemplate);
  CHECK(plain.score == Approx(4.0 * plain.confidence));
  CHECK(has_reason(plain, "bot-template +"));
  const Verdict talked = judge(std::string(kTemplate) + " talk=early,split,quit-with-dot");
  const Weights weights;
  CHECK(talked.score ==
        Approx(plain.score + weights.early_talker + weights.split_command + weights.quit_with_dot));
  CHECK(has_reason(talked, "talked before the greeting +3.0"));
  CHECK(has_reason(talked, "command in two segments +2.5"));
  CHECK(has_reason(talked, "QUIT sent with the dot -1.0"));
}

TEST_CASE("no pattern alone reaches a default threshold") {
  const Policy policy;
  for (const double weight : policy.weights.pattern) CHECK(weight < policy.tempfail);
}

TEST_CASE("a score asks for actions by its thresholds, in the order of severity") {
  struct Row {
    double early_talker;
    Action action;
  };
  const Row rows[] = {
      {0, Action::None}, {3, Action::Tempfail}, {5, Action::Quarantine}, {7, Action::Reject}};
  for (const Row& row : rows) {
    CAPTURE(row.early_talker);
    Policy policy;
    policy.weights.early_talker = row.early_talker;
    const std::string trace = std::string(kTemplate) + " talk=early";
    CHECK(judge(trace, policy).asks == row.action);
  }
}

TEST_CASE("an unset threshold asks for nothing") {
  Policy policy;
  const double never = std::numeric_limits<double>::infinity();
  policy.tempfail = policy.quarantine = policy.reject = never;
  policy.weights.early_talker = 1e300;
  CHECK(judge(std::string(kTemplate) + " talk=early", policy).asks == Action::None);
}

TEST_CASE("below the least confidence, and without a pattern, no action is asked for") {
  Policy policy;
  policy.weights.early_talker = 50;
  policy.min_confidence = 0.99;
  CHECK(judge(std::string(kTemplate) + " talk=early", policy).asks == Action::None);
  policy.min_confidence = 0;
  CHECK(judge("mss=1448 dot=3 talk=early seg=900pn", policy).asks == Action::None);
  CHECK(judge("state=unobserved reason=lost talk=early", policy).asks == Action::None);
}

TEST_CASE("the largest trace with the most sizes is judged in bounded time") {
  Trace trace;
  trace.path.mss = UINT32_MAX;
  for (std::uint32_t i = 0; i < TraceLimits::kSegments / 2; ++i) {
    trace.segments.insert(trace.segments.end(), 2, Segment{.size = 300 + i, .push = i % 7 == 0});
  }
  const std::clock_t begin = std::clock();
  classify(trace, Policy{});
  // Milliseconds without sanitizers; a pass for each size would take minutes.
  CHECK((std::clock() - begin) / CLOCKS_PER_SEC < 5);
}

TEST_CASE("any trace gets a verdict in its bounds") {
  REQUIRE(rc::check("confidence in 0..1, a reason for every pattern", [] {
    Trace trace;
    const auto place = rc::gen::inRange<std::uint32_t>(0, 4000);
    trace.via = *rc::gen::element(Via::Kernel, Via::Read);
    trace.transfer = *rc::gen::element(Transfer::Data, Transfer::Bdat);
    trace.size = *rc::gen::inRange<std::uint64_t>(0, 20000);
    trace.path.mss = *rc::gen::element<std::uint32_t>(0U, 536U, 1448U, 65483U);
    trace.landmarks.header_end = *place;
    trace.landmarks.body_begin = *place;
    trace.landmarks.first_line_end = *place;
    trace.landmarks.terminator = *rc::gen::element<std::uint8_t>(0, 3);
    trace.landmarks.fields =
        *rc::gen::container<std::vector<HeaderField>>(rc::gen::build<HeaderField>(
            rc::gen::set(&HeaderField::end, place), rc::gen::set(&HeaderField::received)));
    trace.segments = *rc::gen::container<std::vector<Segment>>(rc::gen::build<Segment>(
        rc::gen::set(&Segment::size, rc::gen::element<std::uint32_t>(1U, 3U, 40U, 304U, 536U, 1024U,
                                                                     1200U, 1448U, UINT32_MAX)),
        rc::gen::set(&Segment::before, rc::gen::element<std::uint32_t>(0U, 17U, UINT32_MAX)),
        rc::gen::set(&Segment::count, rc::gen::inRange<std::uint32_t>(0, 4)),
        rc::gen::set(&Segment::push), rc::gen::set(&Segment::resent), rc::gen::set(&Segment::hole),
        rc::gen::set(&Segment::line_end)));
    const Verdict verdict = classify(trace, Policy{});
    RC_ASSERT(verdict.confidence >= 0.0 && verdict.confidence <= 1.0);
    RC_ASSERT(!verdict.reasons.empty());
  }));
}

TEST_CASE("reasons are a list of sentences, and a full list takes no more") {
  Reasons reasons;
  reasons.add(Because::BlockEnds, 3, 4, 4096);
  reasons.add(Because::FullThenTail, 1);
  reasons.add(Because::FullThenTail, 9);
  reasons.add_term(term("early-talker", 3.0));
  reasons.add_text(Because::Text, std::string(500, 'x'));
  const std::vector<std::string> expected = {
      "3 of 4 write ends are multiples of 4096", "1 full segment and a tail",
      "9 full segments and a tail", "talked before the greeting +3.0",
      std::string(Reasons::kLongestText, 'x')};
  CHECK(reasons.sentences() == expected);
  for (std::size_t i = 0; i < Reasons::kMost; ++i) reasons.add_text(Because::Text, "more");
  CHECK(reasons.size() == Reasons::kMost);
  const Reasons copy = reasons;
  CHECK(copy.sentences() == reasons.sentences());
}
