// Why a verdict is what it is, as sentences and as the words of `why=`.
#include "classifier/reasons.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "classifier/enum_names.h"
#include "classifier/trace_text.h"
#include "tests/support/terms.h"

namespace {

using namespace classifier;

Verdict judge(const std::string& fields) {
  return classify(std::get<Trace>(parse_trace("segmilter/1 " + fields)), Policy{});
}

}  // namespace

TEST_CASE("each reason is a word with its numbers, in the order of the sentences") {
  Reasons reasons;
  reasons.add(Because::BlockEnds, 3, 4, 4096);
  reasons.add(Because::Terminator);
  reasons.add_term(term("kilobyte-blocks", 0.2));
  CHECK(print_why(reasons) == "block-ends:3/4/4096,dot-apart,kilobyte-blocks:+0.2");
  CHECK(print_why(Reasons()).empty());
}

TEST_CASE(
    "the terms of a score can be separated from the other reasons, and their sum is the score") {
  const Verdict verdict = judge(
      "mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,430,480,610 talk=early "
      "seg=399p,29p,184pn,1440,1377pn");
  std::vector<std::string> terms;
  double sum = 0;
  for (std::size_t i = 0; i < verdict.reasons.size(); ++i) {
    if (verdict.reasons.because(i) != Because::Term) continue;
    const Term found = verdict.reasons.term(i);
    terms.push_back(found.sentence());
    sum += found.weight;
  }
  CHECK(terms == std::vector<std::string>{"bot-template", "talked before the greeting"});
  CHECK(sum == Approx(verdict.score));
}

TEST_CASE("every reason has its own word, without blanks, and its own sentence") {
  std::vector<std::string> words;
  std::vector<std::string> sentences;
  for (std::size_t i = 2; i < enumerators<Because>(); ++i) {
    Reasons reasons;
    reasons.add(static_cast<Because>(i), 1, 2, 3);
    words.push_back(reasons.word(0));
    INFO(words.back());
    CHECK(words.back().find_first_of(" ,;?") == std::string::npos);
    sentences.push_back(reasons.sentence(0));
  }
  for (auto* texts : {&words, &sentences}) {
    CHECK(std::count(texts->begin(), texts->end(), "") == 0);
    std::sort(texts->begin(), texts->end());
    CHECK(std::unique(texts->begin(), texts->end()) == texts->end());
  }
}

TEST_CASE("a term that the caller adds has a word and a sentence with its numbers") {
  Reasons reasons;
  reasons.add(Because::Terminator);
  reasons.add_added(
      {.kind = "network", .name = "192.0.2.0/24", .weight = 0.9, .bad = 41, .all = 60, .days = 14});
  CHECK(print_why(reasons) == "dot-apart,network:+0.9/41/60");
  CHECK(reasons.sentence(1) == "network 192.0.2.0/24 +0.9 (41 of 60 in 14 d)");
  CHECK(reasons.added(1).kind == "network");
  CHECK(reasons.added(1).name == "192.0.2.0/24");
  CHECK(reasons.added(1).weight == Approx(0.9));
}

TEST_CASE("there is room for the terms that the caller adds, however many reasons there are") {
  Reasons reasons;
  for (std::size_t i = 0; i < 2 * Reasons::kMost; ++i) reasons.add(Because::Terminator);
  CHECK(reasons.size() == Reasons::kMost);
  for (std::size_t i = 0; i < 2 * Reasons::kMostAdded; ++i) {
    reasons.add_added({.kind = "address", .name = std::string(200, 'x'), .weight = -0.1});
  }
  CHECK(reasons.size() == Reasons::kMost + Reasons::kMostAdded);
  CHECK(reasons.word(Reasons::kMost) == "address:-0.1/0/0");
  const Reasons copy = reasons;
  CHECK(copy.sentences() == reasons.sentences());
  reasons.clear();
  reasons.add_added({.kind = "asn", .name = "AS64500", .weight = 0.2});
  CHECK(reasons.size() == 1);
}

TEST_CASE("a text can neither add a term nor end the header's value") {
  Reasons reasons;
  reasons.add_text(Because::Text, "a; b,c\r\nd\x80");
  CHECK(print_why(reasons) == "a--b-c--d-");
}

TEST_CASE("reasons that do not fit are counted") {
  Reasons reasons;
  for (int i = 0; i < 40; ++i) reasons.add(Because::ReceivedAlone);
  const std::string all = print_why(reasons);
  CHECK(all.size() <= kLongestWhy);
  CHECK(all.ends_with(",+7"));
  CHECK(std::count(all.begin(), all.end(), 'v') == 13);
  CHECK(print_why(reasons, 10) == "+20");
}

TEST_CASE("every label of real evidence has a reason") {
  CHECK(print_why(judge("mss=1448 dot=3 seg=900pn").reasons).starts_with("one-segment"));
  CHECK(print_why(judge("state=unobserved reason=lost").reasons) == "lost");
  const auto why = print_why(judge("mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,610 "
                                   "seg=399p,29p,184pn,1440,1377pn")
                                 .reasons);
  CHECK(why.starts_with("inside-header:2,"));
  CHECK(why.find("bot-template:+3.9") != std::string::npos);
}

TEST_CASE("a buffer that no known program with this dialogue has gives the reason `relayed`") {
  // Writes of 2048, as a relay passes on a server's message.
  const auto why = print_why(
      judge("mss=1448 rtt=40000 line1=40 header=302 body=304 dot=3 fields=40r,302 talk=ehlo,8bit "
            "seg=1448,600p@9,1448@9,600p@9,1448@9,600p@9,733pn@9")
          .reasons);
  CHECK(why.find("relayed:2048") != std::string::npos);
}
