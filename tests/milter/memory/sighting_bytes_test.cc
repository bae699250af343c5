#include "milter/memory/sighting_bytes.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>

#include "tests/support/sightings.h"
#include "tests/support/terms.h"

using memory::bot_sighting;
using memory::from_bytes;
using memory::Sighting;
using memory::to_bytes;

namespace {

constexpr std::size_t kClientAt = 43;  // after the numbers of fixed length

Sighting sent(const Sighting& sighting) {
  const auto received = from_bytes(to_bytes(sighting));
  REQUIRE(received);
  return *received;
}

}  // namespace

TEST_CASE("a sighting arrives as it was sent") {
  auto sighting = bot_sighting();
  sighting.tls = true;
  sighting.verdict.gait_class = classifier::GaitClass::Bot;
  sighting.verdict.reasons.add_term(classifier::term("contradiction", 3.0, "exim"));
  const auto received = sent(sighting);
  CHECK(received.time == sighting.time);
  CHECK(received.queue_id == "4abcDEF");
  CHECK(received.client == sighting.client);
  CHECK(received.listener == "mx");
  CHECK(received.helo == sighting.helo);
  CHECK(received.tls);
  CHECK(received.trace == sighting.trace);
  CHECK(received.verdict.pattern == classifier::Pattern::BotTemplate);
  CHECK(received.verdict.writer == sighting.verdict.writer);
  CHECK(received.verdict.path == sighting.verdict.path);
  CHECK(received.verdict.score == sighting.verdict.score);
  CHECK(received.verdict.confidence == sighting.verdict.confidence);
  CHECK(received.verdict.mss == 1440);
  CHECK(received.verdict.gait == sighting.verdict.gait);
  CHECK(received.verdict.gait_class == classifier::GaitClass::Bot);
  CHECK(received.basis == policy::Basis::Evidence);
  CHECK(received.decision == sighting.decision);
  double sum = 0;
  for (std::size_t i = 0; i < received.verdict.reasons.size(); ++i) {
    REQUIRE(received.verdict.reasons.because(i) == classifier::Because::Term);
    sum += received.verdict.reasons.term(i).weight;
  }
  CHECK(sum == Approx(sighting.verdict.score + 3.0));
  const auto last = received.verdict.reasons.term(received.verdict.reasons.size() - 1);
  CHECK(last.sign->key == "contradiction");
  CHECK(last.about == "exim");
}

TEST_CASE(
    "the terms of the reputation arrive, but not the address or network that they are about") {
  auto sighting = bot_sighting();
  sighting.verdict.reasons.add_added(
      {.kind = "network", .name = "192.0.2.0/24", .weight = 0.9, .bad = 41, .all = 60, .days = 14});
  const auto bytes = to_bytes(sighting);
  CHECK(bytes.find("192.0.2.0/24") == std::string::npos);
  const auto received = sent(sighting).verdict.reasons;
  const auto last = received.size() - 1;
  REQUIRE(received.because(last) == classifier::Because::Added);
  CHECK(received.added(last).kind == "network");
  CHECK(received.added(last).name.empty());
  CHECK(received.added(last).weight == Approx(0.9));
  auto strange = bytes;
  strange.replace(strange.find("network"), 7, "netwurk");
  CHECK_FALSE(from_bytes(strange));
}

TEST_CASE("a sighting without a client, a listener or evidence arrives too") {
  Sighting sighting;
  sighting.time = memory::at_ms(0);
  sighting.trace = classifier::unobserved(classifier::Reason::Timeout, 3);
  sighting.basis = policy::Basis::Failed;
  const auto received = sent(sighting);
  CHECK_FALSE(received.client);
  CHECK(received.trace == sighting.trace);
  CHECK(received.basis == policy::Basis::Failed);
  CHECK(received.verdict.reasons.empty());
}

TEST_CASE("characters that no queue id has are not sent") {
  auto sighting = bot_sighting();
  sighting.queue_id =
      "4a\x01"
      "b\nc \xff"
      "d";
  CHECK(sent(sighting).queue_id == "4abcd");
  sighting.queue_id = std::string(1000, 'x');
  CHECK(sent(sighting).queue_id == std::string(255, 'x'));
}

TEST_CASE("of a trace that is too long the first segments are sent, and it is partial") {
  auto sighting = bot_sighting();
  sighting.trace.segments.clear();
  for (std::uint32_t i = 0; i < 16384; ++i) {
    sighting.trace.segments.push_back({.size = 1000 + i, .gap_us = 1'000'000 + i});
    sighting.trace.size += 1000 + i;
  }
  REQUIRE(to_bytes(sighting).size() <= memory::kMostBytes);
  const auto received = sent(sighting);
  CHECK(received.trace.size == sighting.trace.size);
  CHECK(received.trace.state == classifier::State::Partial);
  CHECK(received.trace.reason == classifier::Reason::Full);
  REQUIRE(received.trace.segments.size() >= 1024);
  CHECK(std::equal(received.trace.segments.begin(), received.trace.segments.end(),
                   sighting.trace.segments.begin()));
}

TEST_CASE("a datagram that is cut short or too long is refused") {
  const auto bytes = to_bytes(bot_sighting());
  REQUIRE(from_bytes(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    INFO(size << " bytes");
    CHECK_FALSE(from_bytes(std::string_view(bytes).substr(0, size)));
  }
  CHECK_FALSE(from_bytes(bytes + '\0'));
  CHECK_FALSE(from_bytes(std::string(memory::kMostBytes + 1, '\1')));
}

TEST_CASE("what is out of range is refused") {
  struct Row {
    const char* what;
    std::size_t at;
    std::string bytes;
  };
  const auto whole = to_bytes(bot_sighting());
  const std::string huge("\xff\xff\xff\xff\xff\xff\xff\x7f", 8);
  const std::string not_a_number("\0\0\0\0\0\0\xf8\x7f", 8);
  const Row rows[] = {
      {"another version", 0, "\1"},
      {"a flag that nobody has", 1, "\x40"},
      {"a pattern that nobody has", 2, "\x0b"},
      {"a writer that nobody has", 3, "\x63"},
      {"a path that nobody has", 4, "\x63"},
      {"an action that nobody has", 5, "\4"},
      {"a class that nobody has", 6, "\x63"},
      {"a basis that nobody has", 7, "\3"},
      {"an action that was not done", 8, "\4"},
      {"an action that nobody asked for", 9, "\4"},
      {"held by nobody", 10, "\4"},
      {"a time before 1970", 11, std::string(8, '\xff')},
      {"a time that no calendar has", 11, huge},
      {"a score that is no number", 19, not_a_number},
      {"a confidence without end", 27, std::string("\0\0\0\0\0\0\xf0\x7f", 8)},
      {"a queue id longer than the rest", kClientAt + 18, "\xff"},
      {"a queue id with a line end", kClientAt + 19, "\n"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    auto bytes = whole;
    bytes.replace(row.at, row.bytes.size(), row.bytes);
    CHECK_FALSE(from_bytes(bytes));
  }
  auto trace = whole;
  trace.replace(trace.find("segmilter/1"), 11, "segmilter/9");
  CHECK_FALSE(from_bytes(trace));
}
