// Tests the record of a message: what is in it, and which sinks get it.
#include "milter/filter/record.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/filter/service.h"

using classifier::Action;
using filter::Connection;
using filter::Judgement;
using filter::Record;

namespace {

constexpr std::chrono::sys_time<std::chrono::milliseconds> kTime{
    std::chrono::milliseconds(1'700'000'000'123)};
constexpr seal::Seconds kNow{1'700'000'000};

class Answer final : public filter::EvidenceSource {
 public:
  classifier::Trace ask(const evidence::Question& question) override {
    auto trace = std::get<classifier::Trace>(classifier::parse_trace(
        "segmilter/1 mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,430,480,610 "
        "talk=early seg=399p,29p,184pn,1440,1377pn"));
    trace.message = question.after + 1;
    trace.path.syn = "*:64:0:1460:mss*20,7:mss,sok,ts,nop,ws:df:0";
    return trace;
  }
};

class Kept final : public filter::RecordSink {
 public:
  void take(const Record& record, const config::Config&) override { records.push_back(record); }
  std::vector<Record> records;
};

config::Config enforcing() {
  config::Config settings;
  settings.policy.reject = 5;
  config::Listener listener;
  listener.name = "mx";
  listener.policy = settings.policy;
  listener.enforcement.mode = config::Enforcement::Mode::Enforce;
  settings.listeners = {listener};
  return settings;
}

Connection client() {
  Connection connection;
  connection.connect(net::Endpoint::parse("192.0.2.7:40112"), {}, {});
  connection.client_name("mail.example.org");
  connection.daemon("mx", 25);
  connection.helo("MAIL.example.org");
  connection.mail("<sender@example.org>", "", true);
  connection.rcpt("<recipient@example.net>");
  return connection;
}

}  // namespace

TEST_CASE(
    "a record has who sent the message when, how, what that was judged to be, and what was done") {
  const auto settings = enforcing();
  Answer source;
  auto connection = client();
  auto judgement = connection.end_of_message(settings, source, kNow);
  const Record record = make_record("4QUEUE1", kTime, connection, std::move(judgement));
  CHECK(record.judged());
  CHECK(record.helo == "MAIL.example.org");
  const memory::Sighting& sighting = record.sighting;
  CHECK(sighting.time == kTime);
  CHECK(sighting.queue_id == "4QUEUE1");
  CHECK(sighting.client == net::Endpoint::parse("192.0.2.7:40112"));
  CHECK(sighting.listener == "mx");
  CHECK(sighting.helo == memory::HeloShape{.confirmed = true});
  CHECK(sighting.tls);
  CHECK(sighting.trace.size == 399 + 29 + 184 + 1440 + 1377);
  CHECK(sighting.trace.via == classifier::Via::Kernel);
  CHECK_FALSE(sighting.trace.path.syn.empty());
  CHECK(sighting.verdict.pattern == classifier::Pattern::BotTemplate);
  CHECK(sighting.verdict.score > 5);
  CHECK(sighting.basis == policy::Basis::Evidence);
  CHECK(sighting.decision ==
        policy::Decision{Action::Reject, Action::Reject, policy::HeldBackBy::None});
}

TEST_CASE("without a confirmed name, a client's EHLO name cannot be the same as it") {
  Answer source;
  auto connection = client();
  connection.client_name("unknown");
  connection.helo("unknown");
  auto judgement = connection.end_of_message(enforcing(), source, kNow);
  const Record record = make_record("4QUEUE1", kTime, connection, std::move(judgement));
  CHECK(record.sighting.helo == memory::HeloShape{.dotless = true});
}

TEST_CASE("a message that is exempt or refused for its headers has a record, and was not judged") {
  auto settings = enforcing();
  settings.exempt.networks = {*net::Network::parse("192.0.2.0/24")};
  Answer source;
  auto connection = client();
  auto judgement = connection.end_of_message(settings, source, kNow);
  const Record exempt = make_record("4QUEUE1", kTime, connection, std::move(judgement));
  CHECK_FALSE(exempt.judged());
  CHECK(exempt.exempt == filter::Exemption::OwnNetwork);
  CHECK(exempt.sighting.verdict.pattern == classifier::Pattern::Unobserved);
  Judgement flooded;
  flooded.flood = true;
  flooded.own = 9000;
  flooded.deleted = 20;
  const Record flood = make_record("4QUEUE2", kTime, connection, std::move(flooded));
  CHECK_FALSE(flood.judged());
  CHECK(flood.forged == 9000);
  CHECK(flood.deleted == 20);
}

TEST_CASE("each sink gets each record") {
  Kept first;
  Kept second;
  filter::Counters counters;
  filter::Service service(std::make_shared<config::Config>(), counters, {&first, &second});
  for (const char* id : {"4QUEUE1", "4QUEUE2"}) {
    service.send(make_record(id, kTime, client(), {}), {});
  }
  for (const auto& kept : {first, second}) {
    REQUIRE(kept.records.size() == 2);
    CHECK(kept.records[0].sighting.queue_id == "4QUEUE1");
    CHECK(kept.records[1].sighting.queue_id == "4QUEUE2");
  }
}
