// Tests the log line of a message, in JSON: which facts it has, and which it has not.
#include "milter/filter/message_log.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "milter/log/log.h"
#include "tests/support/captured_stderr.h"

using classifier::Action;
using filter::Connection;
using filter::Exemption;
using filter::Judgement;
using nlohmann::json;

namespace {

std::vector<json> logged(const Judgement& judgement, const std::string& level = "info") {
  Connection connection;
  connection.connect(net::Endpoint::parse("192.0.2.7:40112"), {}, {});
  connection.helo("client.example");
  const support::CapturedStderr captured;
  logging::open({config::Log::Target::Stderr, config::Log::Format::Json, level}, "filter");
  const auto record = filter::make_record("4QUEUE1", {}, connection, Judgement(judgement));
  filter::MessageLog().take(record, {});
  std::vector<json> lines;
  std::istringstream text(captured.text());
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  for (json& line : lines) {
    for (const auto* key : {"time", "level", "process", "pid"}) line.erase(key);
  }
  return lines;
}

json line_of(const Judgement& judgement) {
  const auto lines = logged(judgement);
  REQUIRE(lines.size() == 1);
  return lines[0];
}

Judgement judged() {
  Judgement judgement;
  judgement.trace.message = 2;
  judgement.trace.size = 1648;
  judgement.trace.segments = {{.size = 1448}, {.size = 200}};
  judgement.verdict.pattern = classifier::Pattern::KilobyteBlocks;
  judgement.verdict.writer = classifier::Writer::Blocks;
  judgement.verdict.path = classifier::PathShape::Full;
  judgement.verdict.score = 0.25;
  judgement.verdict.confidence = 0.876;
  judgement.verdict.block = 2048;
  judgement.verdict.mss = 1448;
  judgement.verdict.gait = "qmail";
  return judgement;
}

}  // namespace

TEST_CASE("a judged message has its client, the result, the evidence and the action") {
  const json expected = {{"event", "message"},
                         {"queue_id", "4QUEUE1"},
                         {"client", "192.0.2.7:40112"},
                         {"helo", "client.example"},
                         {"pattern", "kilobyte-blocks"},
                         {"writer", "blocks"},
                         {"path", "full"},
                         {"score", 0.2},
                         {"confidence", 0.88},
                         {"action", "none"},
                         {"block", 2048},
                         {"gait", "qmail"},
                         {"mss", 1448},
                         {"tls", "no"},
                         {"message", 2},
                         {"via", "kernel"},
                         {"size", 1648},
                         {"segments", "1448,200"}};
  CHECK(line_of(judged()) == expected);
}

TEST_CASE("a class is given if several programs of one class fit and no name is known") {
  auto judgement = judged();
  CHECK_FALSE(line_of(judgement).contains("class"));
  judgement.verdict.gait = "unknown";
  judgement.verdict.gait_class = classifier::GaitClass::Library;
  CHECK(line_of(judgement)["class"] == "library");
}

TEST_CASE("an action that was held back, and what held it back") {
  auto judgement = judged();
  judgement.decision = {Action::None, Action::Reject, policy::HeldBackBy::Breaker};
  const auto line = line_of(judgement);
  CHECK(line["action"] == "none");
  CHECK(line["would"] == "reject");
  CHECK(line["held"] == "breaker");
}

TEST_CASE("an unobserved message has a reason, and no facts that need evidence") {
  Judgement judgement;
  judgement.tls = true;
  judgement.trace = classifier::unobserved(classifier::Reason::NoSession, 1);
  const auto line = line_of(judgement);
  CHECK(line["pattern"] == "unobserved");
  CHECK(line["reason"] == "no-session");
  CHECK(line["tls"] == "yes");
  for (const auto* key : {"via", "size", "segments", "mss", "block", "window", "would", "held"}) {
    CHECK_FALSE(line.contains(key));
  }
}

TEST_CASE(
    "under TLS the line says how the message was placed, and by how many bytes it did not fit") {
  auto judgement = judged();
  judgement.trace.tls = true;
  judgement.trace.window = classifier::Window::Near;
  judgement.trace.miss = 3;
  const auto line = line_of(judgement);
  CHECK(line["window"] == "near");
  CHECK(line["miss"] == 3);
}

TEST_CASE("headers of our name: how many were forged, and how many of them were deleted") {
  auto judgement = judged();
  judgement.own = 3;
  judgement.deleted = 3;
  CHECK(line_of(judgement)["forged"] == 3);
  CHECK_FALSE(line_of(judgement).contains("deleted"));
  judgement.deleted = 1;
  CHECK(line_of(judgement)["deleted"] == 1);
  judgement.own = 0;
  judgement.deleted = 0;
  CHECK_FALSE(line_of(judgement).contains("forged"));
}

TEST_CASE("an exempt message has its reason and no verdict") {
  Judgement judgement;
  judgement.exempt = Exemption::Sealed;
  judgement.from_relay = true;
  judgement.seal = seal::Result::Good;
  judgement.own = 2;
  judgement.kept = 1;
  judgement.deleted = 1;
  const json expected = {{"event", "message"},
                         {"queue_id", "4QUEUE1"},
                         {"client", "192.0.2.7:40112"},
                         {"helo", "client.example"},
                         {"exempt", "sealed"},
                         {"seal", "good"},
                         {"forged", 1}};
  CHECK(line_of(judgement) == expected);
}

TEST_CASE("a message that is refused for its forged headers was not judged") {
  Judgement judgement;
  judgement.flood = true;
  judgement.own = 9000;
  const auto line = line_of(judgement);
  CHECK(line["refused"] == "too many forged headers");
  CHECK(line["forged"] == 9000);
  CHECK(line["deleted"] == 0);
  CHECK_FALSE(line.contains("pattern"));
}

TEST_CASE("what is known of the client is in the line, and the levels are among the reasons") {
  auto judgement = judged();
  judgement.standing.emplace();
  judgement.standing->term = 0.9;
  judgement.standing->network = {64500, reputation::Access::Cellular, "RO"};
  judgement.verdict.reasons.add_added(
      {.kind = "network", .name = "192.0.2.0/24", .weight = 0.9, .bad = 41, .all = 60, .days = 14});
  const auto line = line_of(judgement);
  CHECK(line["reputation"] == 0.9);
  CHECK(line["asn"] == 64500);
  CHECK(line["access"] == "cellular");
  CHECK(line["country"] == "RO");
  CHECK(line["why"] == "network:+0.9/41/60");
}

TEST_CASE("at level debug a second line has everything to judge the message again") {
  auto judgement = judged();
  judgement.verdict.reasons.add_text(classifier::Because::Text, "one");
  judgement.verdict.reasons.add_text(classifier::Because::Text, "two");
  const auto lines = logged(judgement, "debug");
  REQUIRE(lines.size() == 2);
  CHECK(lines[1]["event"] == "trace");
  CHECK(lines[1]["reasons"] == "one; two");
  CHECK(lines[1]["trace"].get<std::string>().starts_with("segmilter/1 "));
}
