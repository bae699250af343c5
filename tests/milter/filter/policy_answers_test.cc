// Tests milter/filter/policy_answers: what is asked for a request, and what becomes of a rule that
// holds.
#include "milter/filter/policy_answers.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "classifier/dialogue_words.h"
#include "milter/config/load.h"
#include "milter/log/log.h"
#include "milter/net/unix_socket.h"
#include "milter/reputation/networks.h"
#include "tests/support/captured_stderr.h"

using classifier::Reason;
using config::PolicyState;
using filter::PolicyAnswers;
using filter::Sessions;
using policy_service::Request;

namespace {

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kServer = *net::Endpoint::parse("198.51.100.25:25");
constexpr auto kBegan = filter::steady_clock::time_point(std::chrono::seconds(5));

struct Evidence final : filter::DialogueSource {
  std::variant<std::uint32_t, Reason> talk = std::uint32_t{0};
  classifier::Trace trace = classifier::unobserved(Reason::NoSession, 1);
  std::vector<evidence::SessionQuestion> talks;
  std::vector<evidence::Question> messages;

  std::variant<std::uint32_t, Reason> ask_talk(const evidence::SessionQuestion& question) override {
    talks.push_back(question);
    return talk;
  }
  classifier::Trace ask(const evidence::Question& question) override {
    messages.push_back(question);
    return trace;
  }
};

// Rules as an administrator writes them; `more`: other sections.
struct Bed {
  std::shared_ptr<const config::Config> settings;
  filter::Counters counts;
  filter::Service service;
  Evidence evidence;
  std::optional<double> reputation;
  std::uint32_t access = 0;
  Sessions::Place place;
  PolicyAnswers answers;

  explicit Bed(const std::string& rules, const std::string& more = "[policy]\nmode = \"enforce\"\n")
      : settings(std::make_shared<config::Config>(config::parse(
            more + "\n[policy_service]\nsocket = \"unix:/run/p.sock\"\n" + rules, "f"))),
        service(settings, counts),
        place(service.sessions(),
              {.client = kClient, .server = kServer, .began = kBegan, .daemon = "smtpd"}),
        answers(
            service, service.sessions(), evidence,
            [this](const net::Endpoint&) {
              return PolicyAnswers::Background{reputation, access};
            },
            counts.policy_service) {}

  std::string ask(const Request& request) { return answers.answer(request); }
};

std::string rule(const std::string& lines) {
  return "[[policy_service.rule]]\n" + lines + "\n";
}

Request request(PolicyState state = PolicyState::Rcpt) {
  static int number = 0;
  return {.state = state,
          .client = kClient,
          .server = kServer,
          .client_name = "unknown",
          .helo = "bot.example",
          .sender = "bot@bot.example",
          .recipient = "alice@example.org",
          .instance = std::to_string(++number)};
}

const std::string kEarly = rule("talk = [\"early\"]\nanswer = \"REJECT 5.7.1 Early\"");

// A template bot's message in clear, through the proxy.
classifier::Trace template_trace() {
  classifier::Trace trace;
  trace.size = 399 + 29 + 184 + 1440 + 1377;
  trace.path.mss = 1440;
  for (const std::uint32_t size : {399, 29, 184, 1440, 1377}) {
    trace.segments.push_back({.size = size, .push = true});
  }
  trace.landmarks = {.fields = {{.end = 390}, {.end = 500}, {.end = 640}},
                     .header_end = 640,
                     .body_begin = 642,
                     .first_line_end = 60,
                     .terminator = 3};
  return trace;
}

}  // namespace

TEST_CASE("the dialogue of the client's own session is asked for, and answered by a rule") {
  Bed bed(kEarly);
  CHECK(bed.ask(request()) == "DUNNO");
  bed.evidence.talk = *classifier::words_named("early,lower");
  CHECK(bed.ask(request()) == "REJECT 5.7.1 Early");
  REQUIRE(bed.evidence.talks.size() == 2);
  CHECK(bed.evidence.talks[0] == evidence::SessionQuestion{kClient, kServer, kBegan});
  CHECK(bed.evidence.messages.empty());
  CHECK(bed.counts.policy_service.questions[3] == 2);
  CHECK(bed.counts.policy_service.answers[0] == 1);
}

TEST_CASE("if the session of a request is not certain, the answer is DUNNO") {
  Bed bed(kEarly);
  bed.evidence.talk = *classifier::words_named("early");
  SECTION("nobody has this port") {
    Request other = request();
    other.client = net::Endpoint::parse("192.0.2.7:40113");
    CHECK(bed.ask(other) == "DUNNO");
  }
  SECTION("Postfix does not know the port") {
    Request other = request();
    other.client = net::Endpoint::parse_address("192.0.2.7", 0);
    CHECK(bed.ask(other) == "DUNNO");
  }
  SECTION("two sessions have it") {
    const Sessions::Place second(bed.service.sessions(), {.client = kClient, .server = kServer});
    CHECK(bed.ask(request()) == "DUNNO");
  }
  SECTION("the observer knows nothing") {
    bed.evidence.talk = Reason::Ambiguous;
    CHECK(bed.ask(request()) == "DUNNO");
  }
  SECTION("Postfix asks about another command") {
    Request other = request();
    other.state.reset();
    CHECK(bed.ask(other) == "DUNNO");
    CHECK(bed.counts.policy_service.questions_other == 1);
  }
}

TEST_CASE("reputation needs no session, and nothing else is asked for it") {
  Bed bed(rule("reputation = 2\nanswer = \"DEFER_IF_PERMIT 4.7.1 Later\""));
  Request around = request();
  around.client = net::Endpoint::parse("192.0.2.99:1");
  CHECK(bed.ask(around) == "DUNNO");
  bed.reputation = 1.9;
  CHECK(bed.ask(around) == "DUNNO");
  bed.reputation = 2.4;
  CHECK(bed.ask(around) == "DEFER_IF_PERMIT 4.7.1 Later");
  CHECK(bed.evidence.talks.empty());
}

TEST_CASE("a rule may be about the kind of access") {
  Bed bed(rule("access = [\"cellular\", \"dialup\"]\nanswer = \"PREPEND X-Access: mobile\""));
  CHECK(bed.ask(request()) == "DUNNO");
  bed.access = config::access_bit("cable");
  CHECK(bed.ask(request()) == "DUNNO");
  bed.access = config::access_bit("cellular");
  CHECK(bed.ask(request()) == "PREPEND X-Access: mobile");
}

TEST_CASE("the kinds of access of a rule are those of the files of networks") {
  using reputation::Access;
  for (auto kind = Access::Cellular; kind <= Access::Hosting;
       kind = static_cast<Access>(static_cast<int>(kind) + 1)) {
    const auto word = reputation::name(kind);
    CAPTURE(word);
    CHECK(config::access_bit(word) == 1U << static_cast<unsigned>(kind));
    CHECK(config::print_access(config::access_bit(word)) == std::vector{word});
  }
  CHECK(config::access_bit(reputation::name(Access::Unknown)) == 0);
}

TEST_CASE("at the end of the message its verdict counts, in clear and seen whole") {
  Bed bed(rule("pattern = [\"bot-template\"]\nanswer = \"HOLD\""));
  bed.place.judged(2);
  bed.evidence.trace = template_trace();
  bed.evidence.trace.message = 3;
  Request end = request(PolicyState::EndOfMessage);
  end.size = bed.evidence.trace.size - 3;
  CHECK(bed.ask(end) == "HOLD");
  REQUIRE(bed.evidence.messages.size() == 1);
  CHECK(bed.evidence.messages[0].after == 2);
  CHECK(bed.evidence.messages[0].began == kBegan);
  CHECK(bed.evidence.messages[0].shown.text == end.size);
  SECTION("not under TLS, where the text is not known yet") {
    end.tls = true;
    CHECK(bed.ask(end) == "DUNNO");
    CHECK(bed.evidence.messages.size() == 1);
  }
  SECTION("not on the wire, for the same reason") {
    bed.evidence.trace.via = classifier::Via::Wire;
    CHECK(bed.ask(end) == "DUNNO");
  }
  SECTION("not without evidence") {
    bed.evidence.trace = classifier::unobserved(Reason::Ambiguous, 3);
    CHECK(bed.ask(end) == "DUNNO");
  }
  SECTION("not before the message") {
    CHECK(bed.ask(request(PolicyState::Data)) == "DUNNO");
  }
}

TEST_CASE("monitor mode answers DUNNO and logs what it would do, without sender and recipient") {
  Bed bed(kEarly, "[policy]\nmode = \"monitor\"\n");
  bed.evidence.talk = *classifier::words_named("early");
  const support::CapturedStderr captured;
  logging::open({}, "filter");
  Request asked = request();
  asked.queue_id = "4Xyz";
  CHECK(bed.ask(asked) == "DUNNO");
  const auto text = captured.text();
  CAPTURE(text);
  CHECK(text.find("4Xyz: policy client=192.0.2.7:40112 state=RCPT answer=DUNNO rule=1 would=REJECT "
                  "held=monitor talk=early") != text.npos);
  CHECK(text.find("alice") == text.npos);
  CHECK(text.find("bot") == text.npos);
  CHECK(bed.counts.policy_service.held_monitor == 1);
}

TEST_CASE("the roll-out leaves the clients outside of its share alone") {
  Bed bed(kEarly, "[policy]\nmode = \"enforce\"\nreject_percent = 40\npercent_key = \"k\"\n");
  bed.evidence.talk = *classifier::words_named("early");
  int refused = 0;
  for (int i = 1; i <= 100; ++i) {
    const auto client = *net::Endpoint::parse(fmt::format("198.51.{}.1:5", i));
    const Sessions::Place place(bed.service.sessions(), {.client = client, .server = kServer});
    Request asked = request();
    asked.client = client;
    const bool inside = policy::rollout_place(&client, "k") < 40;
    CHECK(bed.ask(asked) == (inside ? "REJECT 5.7.1 Early" : "DUNNO"));
    refused += inside ? 1 : 0;
  }
  CHECK(refused > 0);
  CHECK(bed.counts.policy_service.held_percent == static_cast<unsigned>(100 - refused));
}

TEST_CASE("the breaker of the milter suspends refusals, and counts a message once") {
  Bed bed(kEarly, "[policy]\nmode = \"enforce\"\n[breaker]\nmin_messages = 5\n");
  bed.evidence.talk = *classifier::words_named("early");
  Request many = request();
  for (int i = 0; i < 20; ++i) CHECK(bed.ask(many) == "REJECT 5.7.1 Early");
  for (int i = 0; i < 3; ++i) CHECK(bed.ask(request()) == "REJECT 5.7.1 Early");
  CHECK(bed.ask(request()) == "DUNNO");
  CHECK(bed.ask(many) == "DUNNO");
  CHECK(bed.counts.breaker_trips == 1);
  CHECK(bed.counts.policy_service.held_breaker == 2);
}

TEST_CASE("clients that are exempt are not judged") {
  struct Row {
    const char* what;
    const char* settings;
    void (*change)(Request&);
  };
  const Row rows[] = {
      {"authenticated", "", [](Request& one) { one.authenticated = true; }},
      {"own network", "networks = [\"192.0.2.0/24\"]", [](Request&) {}},
      {"name", "ptr_suffixes = [\"good.example\"]",
       [](Request& one) { one.client_name = "mx.good.example"; }},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Bed bed(kEarly, std::string("[policy]\nmode = \"enforce\"\n[exempt]\n") + row.settings + "\n");
    bed.evidence.talk = *classifier::words_named("early");
    Request asked = request();
    row.change(asked);
    CHECK(bed.ask(asked) == "DUNNO");
    CHECK(bed.evidence.talks.empty());
  }
}

TEST_CASE(
    "greylisting defers the first attempt of a bad sender only, and a listener has its mode") {
  Bed bed(rule("reputation = 2\ngreylist = true\nanswer = \"DEFER_IF_PERMIT 4.7.1 Later\""),
          "[policy]\nmode = \"monitor\"\n[listener.smtpd]\nmode = \"enforce\"\n");
  CHECK(bed.ask(request()) == "DUNNO");
  CHECK(bed.counts.policy_service.greylist_deferred == 0);
  bed.reputation = 2.0;
  CHECK(bed.ask(request()) == "DEFER_IF_PERMIT 4.7.1 Later");
  CHECK(bed.counts.policy_service.greylist_deferred == 1);
  CHECK(bed.counts.policy_service.answers[2] == 1);
}

TEST_CASE(
    "an observer that does not answer in time is not asked again for a while, and one that is gone "
    "is") {
  char name[] = "/tmp/segmilter-test-XXXXXX";
  const std::filesystem::path folder = mkdtemp(name);
  const auto path = (folder / "evidence.sock").string();
  Bed bed(kEarly, fmt::format("[evidence]\nsocket = \"{}\"\n[filter]\nevidence_timeout = "
                              "\"50ms\"\n",
                              path));
  filter::PatientEvidence evidence(bed.service);
  const evidence::SessionQuestion question{kClient, kServer, kBegan};
  const auto reason = [&] { return std::get<Reason>(evidence.ask_talk(question)); };
  CHECK(reason() == Reason::Error);
  CHECK(reason() == Reason::Error);
  {
    const auto silent = net::listen_unix(path, 0600, 10, "listen");
    CHECK(reason() == Reason::Timeout);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) CHECK(reason() == Reason::Busy);
    CHECK(evidence.ask({.client = kClient}).reason == Reason::Busy);
    CHECK(std::chrono::steady_clock::now() - begin < filter::PatientEvidence::kRest);
  }
  std::filesystem::remove_all(folder);
}
