// Plays one milter dialogue without libmilter: which questions are asked, and which are not.
#include "milter/filter/connection.h"

#include <catch2/catch.hpp>
#include <vector>

#include "milter/reputation/learner.h"
#include "tests/support/table_file.h"

using classifier::Reason;
using classifier::State;
using filter::Connection;
using filter::Exemption;

namespace {

struct Question {
  std::string client;
  std::uint32_t after;
  bool operator==(const Question&) const = default;
};

// Gives the prepared answers, else a message with the number `after` + 1. Remembers the question.
class Script : public filter::EvidenceSource {
 public:
  classifier::Trace ask(const evidence::Question& question) override {
    asked = question;
    questions.push_back({question.client.print(), question.after});
    classifier::Trace trace;
    trace.message = question.after + 1;
    if (questions.size() <= answers.size()) trace = answers[questions.size() - 1];
    return trace;
  }
  std::vector<Question> questions;
  std::vector<classifier::Trace> answers;
  evidence::Question asked;  // the last question
};

classifier::Trace numbered(std::uint32_t message) {
  classifier::Trace trace;
  trace.message = message;
  return trace;
}

classifier::Trace without(Reason reason, std::uint32_t message) {
  classifier::Trace trace;
  trace.state = State::Unobserved;
  trace.reason = reason;
  trace.message = message;
  return trace;
}

const filter::steady_clock::time_point kBegan{std::chrono::seconds(5)};

Connection from(std::string_view client) {
  Connection connection;
  connection.connect(net::Endpoint::parse(client), net::Endpoint::parse("198.51.100.25:25"),
                     kBegan);
  connection.helo("client.example");
  return connection;
}

const config::Config kDefaults;
constexpr seal::Seconds kNow{1764108000};

}  // namespace

TEST_CASE("a message from outside is asked about and judged") {
  Script script;
  auto connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", false);
  const auto judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.exempt == Exemption::None);
  CHECK(script.questions == std::vector<Question>{{"192.0.2.7:40112", 0}});
}

TEST_CASE("the question for a message names the number of the last judged message") {
  Script script;
  script.answers = {numbered(1), numbered(3), numbered(4)};  // number 2 was refused by Postfix
  auto connection = from("192.0.2.7:40112");
  for (int i = 0; i < 3; ++i) {
    connection.mail("<a@sender.example>", "", false);
    connection.end_of_message(kDefaults, script, kNow);
  }
  CHECK(script.questions[1].after == 1);
  CHECK(script.questions[2].after == 3);
}

TEST_CASE("a message without evidence does not get the evidence of the next one") {
  Script script;
  script.answers = {without(Reason::Timeout, 1), numbered(2)};
  auto connection = from("192.0.2.7:40112");
  connection.end_of_message(kDefaults, script, kNow);
  connection.end_of_message(kDefaults, script, kNow);
  CHECK(script.questions[1].after == 1);
}

TEST_CASE("what is known of the client is added to the score, which stays the sum of its terms") {
  reputation::TableFile table;
  table.writer.use_keys(0);
  reputation::Counters counters;
  reputation::Learner learner(table.writer, counters);
  const auto rules = reputation::read_rules(kDefaults);
  const reputation::Time now(kNow);
  for (int host = 0; host < 12; ++host) {
    const auto bot = *net::Endpoint::parse("192.0.2." + std::to_string(host) + ":1");
    learner.learn(rules.keys.origin(bot, {}, {}), {1, 0.25}, now, now);
  }
  const reputation::Reader reader(reputation::TableView(table.fd.get()), rules, counters);
  Script script;
  script.answers = {numbered(1), numbered(2), numbered(3), numbered(4)};
  const auto judge = [&](const char* client, const config::Config& settings) {
    auto connection = from(client);
    connection.mail("<a@sender.example>", "", false);
    return connection.end_of_message(settings, script, kNow, &reader);
  };
  const auto stranger = judge("198.51.100.7:40112", kDefaults);
  const auto neighbour = judge("192.0.2.77:40112", kDefaults);
  REQUIRE(neighbour.standing);
  CHECK(neighbour.standing->term > 0.3);
  CHECK(stranger.standing->term == 0);
  CHECK(neighbour.verdict.score == Approx(stranger.verdict.score + neighbour.standing->term));
  double sum = 0;
  const auto& reasons = neighbour.verdict.reasons;
  for (std::size_t at = 0; at < reasons.size(); ++at) {
    if (reasons.because(at) == classifier::Because::Term) sum += reasons.term(at).weight;
    if (reasons.because(at) == classifier::Because::Added) sum += reasons.added(at).weight;
  }
  CHECK(sum == Approx(neighbour.verdict.score).margin(1e-5));
  CHECK_THAT(reasons.sentence(reasons.size() - 1), Catch::StartsWith("network 192.0.2.0/24 +"));
  config::Config off;
  off.reputation.enabled = false;
  CHECK_FALSE(judge("192.0.2.77:40112", off).standing);
}

TEST_CASE("a score that reaches a threshold only with the reputation asks for the action") {
  classifier::Verdict verdict;
  verdict.pattern = classifier::Pattern::BotTemplate;
  verdict.confidence = 0.9;
  verdict.score = 5.5;
  CHECK(classifier::action_for(verdict, {}) == classifier::Action::None);
  verdict.score += 0.9;
  CHECK(classifier::action_for(verdict, {}) == classifier::Action::Tempfail);
}

TEST_CASE("an aborted message is not counted, and nothing of it remains") {
  Script script;
  auto connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "somebody", true);
  connection.header("X-Protocol-Pattern");
  connection.abort();
  const auto judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.exempt == Exemption::None);
  CHECK(judgement.forged() == 0);
  CHECK_FALSE(judgement.tls);
  CHECK(script.questions[0].after == 0);
}

TEST_CASE("no question is asked about exempt clients") {
  config::Config settings;
  settings.exempt.networks = {*net::Network::parse("198.51.100.0/24"),
                              *net::Network::parse("2001:db8::/32")};
  struct Row {
    std::string client, login;
    Exemption expected;
  };
  const auto row = GENERATE(values<Row>({
      {"192.0.2.7:1", "alice", Exemption::Authenticated},
      {"127.0.0.1:1", "", Exemption::Loopback},
      {"127.9.9.9:1", "", Exemption::Loopback},
      {"[::1]:1", "", Exemption::Loopback},
      {"[::ffff:127.0.0.1]:1", "", Exemption::Loopback},
      {"198.51.100.77:1", "", Exemption::OwnNetwork},
      {"[::ffff:198.51.100.77]:1", "", Exemption::OwnNetwork},
      {"[2001:db8::5]:1", "", Exemption::OwnNetwork},
      {"198.51.101.1:1", "", Exemption::None},
      {"[2001:db9::5]:1", "", Exemption::None},
  }));
  CAPTURE(row.client);
  Script script;
  auto connection = from(row.client);
  connection.mail("<a@sender.example>", row.login, false);
  connection.header("x-protocol-pattern");
  const auto judgement = connection.end_of_message(settings, script, kNow);
  CHECK(judgement.exempt == row.expected);
  CHECK(judgement.delete_forged ==
        (row.expected == Exemption::None));  // headers from our own networks are left alone
  CHECK(script.questions.empty() == (row.expected != Exemption::None));
}

TEST_CASE("a client with a confirmed name from the list is not judged") {
  config::Config settings;
  settings.exempt.ptr_suffixes = {".provider.example"};
  settings.exempt.helo_suffixes = {"out.cloud.example"};
  struct Row {
    const char* label;
    std::string name, helo;
    Exemption expected;
  };
  const auto row = GENERATE(values<Row>({
      {"by its name", "mx7.provider.example", "anything", Exemption::ClientName},
      {"not confirmed", "unknown", "mx7.provider.example", Exemption::None},
      {"not confirmed, as libmilter gives it", "[192.0.2.7]", "x.out.cloud.example",
       Exemption::None},
      {"another's end", "mx7.badprovider.example", "x", Exemption::None},
      {"said and confirmed", "vm1.out.cloud.example", "A.OUT.cloud.example", Exemption::HeloName},
      {"said only", "host.elsewhere.example", "a.out.cloud.example", Exemption::None},
      {"confirmed, and says otherwise", "vm1.out.cloud.example", "a.elsewhere.example",
       Exemption::None},
      {"said and not known", "", "a.out.cloud.example", Exemption::None},
  }));
  CAPTURE(row.label);
  Script script;
  Connection connection = from("192.0.2.7:1");
  connection.client_name(row.name);
  connection.helo(row.helo);
  connection.mail("<a@sender.example>", "", false);
  connection.header("X-Protocol-Pattern");
  const auto judgement = connection.end_of_message(settings, script, kNow);
  CHECK(judgement.exempt == row.expected);
  CHECK(judgement.forged() == 1);
  CHECK(judgement.delete_forged);  // mail of other senders may come from there too
  CHECK(script.questions.empty() == (row.expected != Exemption::None));
}

namespace {

classifier::Trace bot() {
  classifier::Trace trace = numbered(1);
  trace.path.mss = 1440;
  for (const std::uint32_t size : {399u, 29u, 184u, 1440u, 1377u}) {
    trace.segments.push_back({.size = size, .push = size < 1440});
    trace.size += size;
  }
  trace.landmarks.first_line_end = 60;
  trace.landmarks.fields = {{60, true}, {600, false}, {800, false}};
  trace.landmarks.header_end = 800;
  trace.landmarks.body_begin = 802;
  trace.landmarks.terminator = 3;
  return trace;
}

}  // namespace

TEST_CASE("a listener's policy applies to the mail that came in by it, by name or by port") {
  config::Config settings;
  settings.enforcement.mode = config::Enforcement::Mode::Monitor;
  settings.policy.reject = -1000;
  config::Listener strict;
  strict.name = "strict";
  strict.policy = settings.policy;
  strict.enforcement.mode = config::Enforcement::Mode::Enforce;
  config::Listener other = strict;
  other.name = "other";
  other.port = 2525;
  settings.listeners = {strict, other};
  struct Row {
    std::string name;
    std::uint16_t port;
    classifier::Action expected;
  };
  const auto row = GENERATE(values<Row>({
      {"strict", 25, classifier::Action::Reject},
      {"mx1.example.org", 25, classifier::Action::None},
      {"mx1.example.org", 2525, classifier::Action::Reject},
      {"other", 25, classifier::Action::None},  // it has a port, so its name is not compared
      {"", 0, classifier::Action::None},
  }));
  CAPTURE(row.name, row.port);
  Script script;
  script.answers = {bot()};
  Connection connection = from("192.0.2.7:1");
  connection.daemon(row.name, row.port);
  connection.mail("<a@sender.example>", "", false);
  const auto judgement = connection.end_of_message(settings, script, kNow);
  CHECK(judgement.decision.action == row.expected);
  CHECK(judgement.decision.would == classifier::Action::Reject);
  const bool own = row.expected == classifier::Action::Reject;
  CHECK(judgement.listener == (!own ? "" : row.port == 2525 ? "other" : "strict"));
}

namespace {

const seal::Key kKey{"k", std::string(32, 'k')};

// The header that a relay adds to the message that relayed() shows.
std::string sealed(seal::Seconds time) {
  seal::Identity identity;
  identity.field("Subject", "hello");
  return " mx2; v=1; " + seal::make("mx2;v=1", identity.digest(), kKey, time);
}

filter::Judgement relayed(const std::string& client, const std::vector<std::string>& own) {
  config::Config settings;
  settings.seal.keys = {kKey};
  settings.seal.believe_from = {*net::Network::parse("198.51.100.25")};
  settings.exempt.networks = {*net::Network::parse("198.51.100.0/24")};
  Script script;
  Connection connection = from(client);
  connection.mail("<a@sender.example>", "", false);
  for (const auto& value : own) connection.header("X-Protocol-Pattern", value, false);
  connection.header("Subject", " hello", false);
  return connection.end_of_message(settings, script, kNow);
}

}  // namespace

TEST_CASE(
    "a header sealed by a listed relay stays, all others are deleted, and the message is not "
    "judged") {
  const auto good = sealed(kNow);
  struct Row {
    const char* label;
    std::string client;
    std::vector<std::string> own;
    Exemption exempt;
    seal::Result seal;
    unsigned kept, forged;
  };
  using seal::Result;
  const std::string relay = "198.51.100.25:1";
  const Row rows[] = {
      {"sealed", relay, {good}, Exemption::Sealed, Result::Good, 1, 0},
      {"below a forged one",
       relay,
       {" mx2; v=1", good, " x"},
       Exemption::Sealed,
       Result::Good,
       2,
       2},
      {"twice", relay, {good, good}, Exemption::Sealed, Result::Good, 1, 1},
      {"unsigned", relay, {" mx2; v=1"}, Exemption::Relay, Result::Unsigned, 0, 1},
      {"old",
       relay,
       {sealed(kNow - seal::Seconds(6 * 86400))},
       Exemption::Relay,
       Result::TooOld,
       0,
       1},
      {"none", relay, {}, Exemption::Relay, Result::None, 0, 0},
      {"below more than are looked at",
       relay,
       {"", "", "", "", "", "", "", "", good},
       Exemption::Relay,
       Result::Unsigned,
       0,
       9},
      {"of a stranger", "192.0.2.7:1", {good}, Exemption::None, Result::None, 0, 1},
      {"of a neighbour, one of our own networks",
       "198.51.100.26:1",
       {good},
       Exemption::OwnNetwork,
       Result::None,
       0,
       0},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    const auto judgement = relayed(row.client, row.own);
    CHECK(judgement.exempt == row.exempt);
    CHECK(judgement.seal == row.seal);
    CHECK(judgement.kept == row.kept);
    CHECK(judgement.forged() == row.forged);
  }
}

namespace {

class Broken : public filter::EvidenceSource {
 public:
  classifier::Trace ask(const evidence::Question&) override { throw std::bad_alloc(); }
};

}  // namespace

TEST_CASE(
    "a failure while a message is judged is an error, and its forged headers are still deleted") {
  config::Config settings;
  settings.enforcement.mode = config::Enforcement::Mode::Enforce;
  settings.enforcement.on_error = config::Enforcement::Fallback::Tempfail;
  Broken source;
  Connection connection = from("192.0.2.7:1");
  connection.mail("<a@sender.example>", "", false);
  connection.header("X-Protocol-Pattern");
  const auto judgement = connection.end_of_message(settings, source, kNow);
  CHECK_FALSE(judgement.failure.empty());
  CHECK(judgement.basis == policy::Basis::Failed);
  CHECK(judgement.decision.action == classifier::Action::Tempfail);
  CHECK(judgement.forged() == 1);
}

TEST_CASE("partial evidence without segments is treated like unobserved mail") {
  config::Config settings;
  settings.enforcement.mode = config::Enforcement::Mode::Enforce;
  settings.enforcement.on_unobserved = config::Enforcement::Fallback::Tempfail;
  for (const auto reason : {Reason::Full, Reason::Dropped}) {
    Script script;
    classifier::Trace empty = without(reason, 1);
    empty.state = State::Partial;
    script.answers = {empty};
    auto connection = from("192.0.2.7:1");
    connection.mail("<a@sender.example>", "", false);
    const auto judgement = connection.end_of_message(settings, script, kNow);
    CHECK(judgement.basis == policy::Basis::Unobserved);
    CHECK(judgement.decision.action == classifier::Action::Tempfail);
  }
}

TEST_CASE("exemptions can be switched off") {
  config::Config settings;
  settings.exempt.authenticated = false;
  settings.exempt.loopback = false;
  Script script;
  auto connection = from("127.0.0.1:1");
  connection.mail("<a@sender.example>", "alice", false);
  CHECK(connection.end_of_message(settings, script, kNow).exempt == Exemption::None);
  CHECK(script.questions.size() == 1);
}

TEST_CASE("unobserved mail over loopback is exempt even if loopback is judged") {
  config::Config settings;
  settings.exempt.loopback = false;
  for (const std::string client : {"127.0.0.1:1", "[::1]:1", "192.0.2.7:1"}) {
    INFO(client);
    Script script;
    script.answers = {without(Reason::NoSession, 1)};
    auto connection = from(client);
    connection.mail("<a@sender.example>", "", false);
    connection.header("X-Protocol-Pattern");  // from its first way through Postfix
    const auto judgement = connection.end_of_message(settings, script, kNow);
    const bool outside = client == "192.0.2.7:1";
    CHECK(judgement.exempt == (outside ? Exemption::None : Exemption::Loopback));
    CHECK(judgement.delete_forged == outside);
  }
}

TEST_CASE("a message with more headers of our name than can be deleted is not judged") {
  Script script;
  auto connection = from("192.0.2.7:1");
  connection.mail("<a@sender.example>", "", false);
  for (int i = 0; i < 5000; ++i) connection.header("X-Protocol-Pattern", "forged", false);
  CHECK(connection.end_of_message(kDefaults, script, kNow).flood);
  CHECK(script.questions.empty());
  connection.mail("<a@sender.example>", "", false);
  CHECK_FALSE(connection.end_of_message(kDefaults, script, kNow).flood);
  CHECK(script.questions == std::vector<Question>{{"192.0.2.7:1", 1}});
}

TEST_CASE("clients of our own networks may send as many headers of our name as they like") {
  Script script;
  auto connection = from("127.0.0.1:1");
  connection.mail("<a@sender.example>", "", false);
  for (int i = 0; i < 5000; ++i) connection.header("X-Protocol-Pattern", "x", false);
  CHECK_FALSE(connection.end_of_message(kDefaults, script, kNow).flood);
}

TEST_CASE("a login applies only to the message that it was given with") {
  Script script;
  auto connection = from("192.0.2.7:1");
  connection.mail("<a@sender.example>", "alice", false);
  CHECK(connection.end_of_message(kDefaults, script, kNow).exempt == Exemption::Authenticated);
  connection.mail("<a@sender.example>", "", false);
  CHECK(connection.end_of_message(kDefaults, script, kNow).exempt == Exemption::None);
  CHECK(script.questions == std::vector<Question>{{"192.0.2.7:1", 1}});
}

TEST_CASE("a client with an unknown address is unobserved, and no question is asked") {
  Script script;
  Connection connection;
  connection.connect(std::nullopt, std::nullopt, kBegan);
  connection.mail("<a@sender.example>", "", false);
  const auto judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.exempt == Exemption::None);
  CHECK(judgement.trace.state == State::Unobserved);
  CHECK(judgement.trace.reason == Reason::NoSession);
  CHECK(script.questions.empty());
}

TEST_CASE("an end of message without connect, helo or mail is judged as unobserved") {
  Script script;
  Connection connection;
  CHECK(connection.end_of_message(kDefaults, script, kNow).trace.reason == Reason::NoSession);
}

TEST_CASE("headers of our name are counted per message, in any case") {
  Script script;
  auto connection = from("192.0.2.7:1");
  connection.mail("<a@sender.example>", "", true);
  for (const auto* name : {"Received", "X-Protocol-Pattern", "x-protocol-pattern", "X-Other"}) {
    connection.header(name);
  }
  auto judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.forged() == 2);
  CHECK(judgement.tls);
  connection.mail("<a@sender.example>", "", false);
  judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.forged() == 0);
  CHECK_FALSE(judgement.tls);
}

TEST_CASE("under TLS what Postfix shows is part of the question and of the trace") {
  Script script;
  classifier::Trace sealed = numbered(1);
  sealed.tls = true;
  sealed.window = classifier::Window::Exact;
  sealed.records = {{.size = 37}, {.size = 12}};
  sealed.segments = {{.size = 93}};
  script.answers = {sealed};
  Connection connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", true);
  connection.mail_parameter("BODY=8BITMIME");
  connection.mail_parameter("SIZE=1234");
  CHECK(connection.wants_body(kDefaults));
  connection.header("Subject", " hello\n\tfolded", false);
  connection.header("X-Other", " yes", false);
  connection.body(".text\r\n");
  const auto result = connection.end_of_message(kDefaults, script, kNow);
  CHECK(script.asked.shown.header == 25 + 14 + 2);
  CHECK(script.asked.shown.body == 7U);
  CHECK(script.asked.shown.dots == 1);
  CHECK(result.trace.landmarks.header_end == 39);
  CHECK(result.trace.landmarks.folds == std::vector<std::uint32_t>{16});
  CHECK(result.trace.dialogue.declared == 1234);
  CHECK(result.trace.dialogue.body_first);

  // The next message starts from nothing.
  connection.mail("<a@sender.example>", "", false);
  CHECK_FALSE(connection.wants_body(kDefaults));
  connection.body_unseen();
  (void)connection.end_of_message(kDefaults, script, kNow);
  CHECK(script.asked.shown.header == 2);
  CHECK(script.asked.shown.fields.empty());
  CHECK_FALSE(script.asked.shown.body);
}

TEST_CASE("a question identifies the session and the message") {
  Script script;
  Connection connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", false);
  connection.mail_parameter("SIZE=1234");
  connection.rcpt("<b@example>");
  connection.rcpt("<cc@example>");
  connection.rcpt_parameter("NOTIFY=NEVER");
  connection.header("Subject", " hello", false);
  connection.body("text\r\n");
  (void)connection.end_of_message(kDefaults, script, kNow);
  CHECK(script.asked.server == net::Endpoint::parse("198.51.100.25:25"));
  CHECK(script.asked.began == kBegan);
  const auto& envelope = script.asked.shown.envelope;
  CHECK(envelope.mail == std::vector<std::uint32_t>{40});  // MAIL FROM:<a@sender.example> SIZE=1234
  CHECK(envelope.rcpt == std::vector<std::uint32_t>{21, 35});
  CHECK(envelope.total == 96);
  CHECK(script.asked.shown.fields == std::vector<std::uint32_t>{16});
  CHECK(script.asked.shown.body == 6U);
}

namespace {

// A trace as the wire observer makes it of a message in clear, without having read its text.
classifier::Trace from_the_wire(std::uint64_t size) {
  classifier::Trace trace = numbered(1);
  trace.via = classifier::Via::Wire;
  trace.size = size;
  trace.segments = {{.size = static_cast<std::uint32_t>(size)}};
  return trace;
}

// 18 bytes of header with the blank line, 7 of body, 1 doubled dot, and the terminator.
filter::Judgement judge_from_the_wire(std::uint64_t size) {
  Script script;
  script.answers = {from_the_wire(size)};
  Connection connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", false);
  connection.header("Subject", " hello", false);
  connection.body(".text\r\n");
  return connection.end_of_message(kDefaults, script, kNow);
}

}  // namespace

TEST_CASE("with a wire observer the body is counted in clear as well") {
  config::Config settings;
  Connection connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", false);
  CHECK_FALSE(connection.wants_body(settings));
  settings.wire.ports = {25};
  CHECK(connection.wants_body(settings));
  settings.filter.count_body = false;
  CHECK_FALSE(connection.wants_body(settings));
}

TEST_CASE(
    "what Postfix shows gives a message seen on the wire its landmarks, where the sizes fit") {
  const auto judgement = judge_from_the_wire(18 + 7 + 1 + 3);
  CHECK(judgement.trace.window == classifier::Window::Exact);
  CHECK(judgement.trace.landmarks.header_end == 16);
  CHECK(judgement.trace.landmarks.terminator == 3);
}

TEST_CASE(
    "if the size differs a little, the landmarks are approximate, and the trace says by how much") {
  const auto judgement = judge_from_the_wire(18 + 7 + 1 + 3 - 2);
  CHECK(judgement.trace.window == classifier::Window::Near);
  CHECK(judgement.trace.miss == 2);
  CHECK(judgement.trace.landmarks.header_end == 16);
}

TEST_CASE("a field that was added on the way does not belong to the message seen on the wire") {
  Script script;
  script.answers = {from_the_wire(16 + 2 + 6 + 3)};
  Connection connection = from("192.0.2.7:40112");
  connection.mail("<a@sender.example>", "", false);
  connection.header("Received-SPF", " pass", false);
  connection.header("Subject", " hello", false);
  connection.body("text\r\n");
  const auto judgement = connection.end_of_message(kDefaults, script, kNow);
  CHECK(judgement.trace.window == classifier::Window::Exact);
  CHECK(judgement.trace.miss == 0);
  CHECK(judgement.trace.landmarks.fields == std::vector<classifier::HeaderField>{{16, false}});
  CHECK(judgement.trace.landmarks.body_begin == 18);
}

TEST_CASE("a message seen on the wire with a very different size is not this one") {
  const auto judgement = judge_from_the_wire(5000);
  CHECK(judgement.trace.state == State::Unobserved);
  CHECK(judgement.trace.reason == Reason::Lost);
}
