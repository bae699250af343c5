// Tests of the checks that only compare values: a configuration and Postfix's settings.
#include "milter/doctor/check.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "milter/config/load.h"
#include "milter/doctor/as_user.h"
#include "milter/doctor/command.h"
#include "milter/doctor/postfix_log.h"

using namespace doctor;

namespace {

const std::string kListen =
    "[proxy]\nlisten = [\"0.0.0.0:25\", \"[::]:25\"]\nupstream = \"127.0.0.1:10025\"\n";
const std::string kWire = "[wire]\nports = [25]\n";
const std::string kOurs =
    "{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s, command_timeout=5s }";

struct Case {
  std::string toml = kListen;
  std::string milters = kOurs;
  std::string main;  // more lines of main.cf; of two equal settings the later one counts
  std::string services = "127.0.0.1:10025 inet n - n - - smtpd\n";
  std::string overrides = "127.0.0.1:10025/inet/smtpd_upstream_proxy_protocol = haproxy\n";
};

Patient patient(const Case& values) {
  const auto main =
      "mail_owner = postfix\nqueue_directory = /var/spool/postfix\ncompatibility_level = 3.6\n"
      "milter_default_action = tempfail\nmilter_connect_timeout = 30s\nmilter_command_timeout = "
      "30s\n"
      "milter_protocol = 6\nmynetworks = 127.0.0.0/8 [::1]/128\nsmtpd_timeout = 300s\n"
      "default_process_limit = 100\nsmtpd_client_connection_count_limit = 50\n"
      "smtpd_upstream_proxy_timeout = 5s\npostscreen_upstream_proxy_timeout = 5s\nsmtpd_milters "
      "= " +
      values.milters + "\n" + values.main;
  return {.config = config::parse(values.toml, "segmilter.toml"),
          .config_file = "/etc/segmilter/segmilter.toml",
          .postfix_config = {},
          .postfix = Postfix::parse(main, values.services, values.overrides),
          .postfix_error = {},
          .tcp = {},
          .addresses = {*net::Endpoint::parse("192.0.2.25:0")},
          .ipv6 = true,
          .root = false};
}

using Look = Findings (*)(const Patient&);

bool found(const Findings& findings, State state, std::string_view words) {
  for (const auto& finding : findings) {
    if (finding.state == state && finding.found.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("the settings of the examples give no findings") {
  for (const auto& values :
       {Case{}, Case{.toml = kWire, .services = "smtp inet n - n - - smtpd\n", .overrides = ""}}) {
    const auto well = patient(values);
    for (const Look look :
         {check_configuration, check_postconf, check_milters, check_proxy_protocol, check_ports,
          check_timeouts, check_mynetworks, check_limits}) {
      for (const auto& finding : look(well)) {
        INFO(finding.found);
        CHECK(finding.state == State::Ok);
      }
    }
  }
}

TEST_CASE("the policy service: each fault is found, and one line fixes it") {
  const std::string toml =
      kListen +
      "[policy_service]\nsocket = \"unix:/var/spool/postfix/segmilter/policy.sock\"\n"
      "[[policy_service.rule]]\nstate = [\"RCPT\"]\ntalk = [\"early\"]\nanswer = \"REJECT no\"\n";
  const std::string ours =
      "check_policy_service { unix:segmilter/policy.sock, default_action=DUNNO, timeout=2s, "
      "try_limit=1 }";
  const std::string defaults =
      "smtpd_policy_service_default_action = 451 4.3.5 Server configuration problem\n"
      "smtpd_policy_service_timeout = 100s\nsmtpd_policy_service_try_limit = 2\n"
      "smtpd_policy_service_retry_delay = 1s\nsmtpd_delay_reject = yes\n";
  const std::string front = "smtpd_recipient_restrictions = permit_mynetworks, ";
  const auto mended = [&](const std::string& value) {
    return "postconf -e 'smtpd_recipient_restrictions = " + value + "'";
  };
  const struct {
    const char* name;
    std::string toml;
    std::string main;
    State state;
    const char* words;
    std::string mend;
  } rows[] = {
      {"as in the example", toml, front + ours, State::Ok, "at 1 place", ""},
      {"not asked", toml, "smtpd_recipient_restrictions =", State::Fail, "Postfix does not ask",
       mended("permit_mynetworks, reject_unauth_destination, " + ours)},
      {"another service only", toml, front + "check_policy_service unix:private/spf", State::Fail,
       "Postfix does not ask",
       mended("permit_mynetworks, check_policy_service unix:private/spf, " + ours)},
      {"Postfix's default_action", toml,
       front + "check_policy_service { unix:segmilter/policy.sock, timeout=2s, try_limit=1 }",
       State::Warn, "default_action is \"451", mended("permit_mynetworks, " + ours)},
      {"Postfix's timeout", toml,
       front + "check_policy_service { unix:segmilter/policy.sock, default_action=DUNNO, "
               "try_limit=1 }",
       State::Warn, "timeout is 100s", mended("permit_mynetworks, " + ours)},
      {"two tries", toml,
       front + "check_policy_service { unix:segmilter/policy.sock, default_action=DUNNO, "
               "timeout=2s }",
       State::Warn, "each question takes 1s longer", mended("permit_mynetworks, " + ours)},
      {"before one's own hosts", toml,
       "smtpd_recipient_restrictions = " + ours + ", permit_mynetworks", State::Warn,
       "own hosts are judged", mended("permit_mynetworks, " + ours)},
      {"in a class", toml,
       "smtpd_restriction_classes = asked\nasked = " + ours +
           "\nsmtpd_recipient_restrictions = permit_mynetworks, asked",
       State::Ok, "at 1 place", ""},
      {"a rule for the end of the message, where Postfix does not ask",
       toml + "[[policy_service.rule]]\nscore = 4\nanswer = \"HOLD\"\n", front + ours, State::Warn,
       "rule 2 never holds: Postfix does not ask in its state",
       "postconf -e 'smtpd_end_of_data_restrictions = permit_mynetworks, " + ours + "'"},
      {"a rule for HELO, which Postfix delays",
       toml + "[[policy_service.rule]]\nstate = [\"HELO\"]\ntalk = [\"early\"]\nanswer = "
              "\"REJECT no\"\n",
       front + ours, State::Warn, "rule 2 never holds: with smtpd_delay_reject", ""},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    const auto findings =
        check_policy_service(patient({.toml = row.toml, .main = defaults + row.main + "\n"}));
    REQUIRE(findings.size() == 1);
    CAPTURE(findings[0].found);
    CHECK(findings[0].state == row.state);
    CHECK(findings[0].found.find(row.words) != std::string::npos);
    if (row.mend.empty()) {
      CHECK(findings[0].mend.empty());
    } else {
      REQUIRE_FALSE(findings[0].mend.empty());
      CHECK(findings[0].mend[0] == row.mend);
    }
  }
  CHECK(check_policy_service(patient({})).empty());
}

TEST_CASE("smtpd_milters: each fault is found, and one line fixes it") {
  const auto mended = [](const std::string& value) {
    return "postconf -e 'smtpd_milters = " + value + "'";
  };
  const struct {
    const char* name;
    std::string milters;
    State state;
    const char* words;
    std::string mend;
  } rows[] = {
      {"empty", "", State::Fail, "does not name", mended(kOurs)},
      {"another one only", "inet:127.0.0.1:11332", State::Fail, "does not name",
       mended(kOurs + ", inet:127.0.0.1:11332")},
      {"second", "inet:localhost:11332, " + kOurs, State::Warn, "comes after inet:localhost:11332",
       mended(kOurs + ", inet:localhost:11332")},
      {"no default_action",
       "{ unix:segmilter/milter.sock, connect_timeout=1s, command_timeout=3s }", State::Warn,
       "default_action is tempfail",
       mended("{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=1s, "
              "command_timeout=3s }")},
      {"Postfix's timeouts", "{ unix:segmilter/milter.sock, default_action=accept }", State::Warn,
       "connect_timeout is 30s", mended(kOurs)},
      {"other options stay",
       "{ local:segmilter/milter.sock, default_action=reject, content_timeout=9s, "
       "connect_timeout=2s, command_timeout=5s }",
       State::Warn, "default_action is reject",
       mended("{ local:segmilter/milter.sock, default_action=accept, connect_timeout=2s, "
              "command_timeout=5s, content_timeout=9s }")},
      {"an absolute path that is not the socket's", "unix:/segmilter/milter.sock", State::Fail,
       "looks for segmilter's socket at /segmilter/milter.sock", mended(kOurs)},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    const auto findings = check_milters(patient({.milters = row.milters}));
    CHECK(found(findings, row.state, row.words));
    REQUIRE_FALSE(findings.empty());
    CHECK(findings[0].mend == std::vector<std::string>{row.mend, "postfix reload"});
  }
}

TEST_CASE("a filter before the queue hides messages from milters; it can run after the queue") {
  const auto findings = check_milters(patient({.main = "smtpd_proxy_filter = 127.0.0.1:10026\n"}));
  REQUIRE(found(findings, State::Fail, "shows milters no message"));
  CHECK(findings[0].mend ==
        std::vector<std::string>{
            "postconf -P 127.0.0.1:10025/inet/smtpd_proxy_filter=",
            "postconf -P '127.0.0.1:10025/inet/content_filter=smtp:[127.0.0.1]:10026'",
            "postfix reload"});
  for (const char* value : {"inet:[::1]:10026", "inet:scanner.example:10026"}) {
    INFO(value);
    const auto other =
        check_milters(patient({.main = fmt::format("smtpd_proxy_filter = {}\n", value)}));
    REQUIRE(found(other, State::Fail, "shows milters no message"));
    CHECK(other[0].mend.size() == 3);
  }
  const auto socket = check_milters(patient({.main = "smtpd_proxy_filter = unix:private/scan\n"}));
  REQUIRE(found(socket, State::Fail, "shows milters no message"));
  CHECK(socket[0].mend.empty());
}

TEST_CASE(
    "mail that a content filter gives back over loopback should not be shown to milters again") {
  const std::string services =
      "127.0.0.1:10025 inet n - n - - smtpd\n127.0.0.1:10026 inet n - n - - smtpd\n";
  const std::string filter = "content_filter = scan:[127.0.0.1]:10024\n";
  const auto proxy = Case{}.overrides;
  const auto look = [&](const std::string& main, const std::string& overrides) {
    return check_milters(
        patient({.main = main, .services = services, .overrides = proxy + overrides}));
  };
  const std::string back = "127.0.0.1:10026/inet/";
  const auto findings = look(filter, "");
  REQUIRE(found(findings, State::Warn, "a second time"));
  CHECK(findings[0].mend ==
        std::vector<std::string>{"postconf -P " + back + "receive_override_options=no_milters",
                                 "postfix reload"});
  const auto more = look(filter, back +
                                     "receive_override_options = no_address_mappings, "
                                     "no_unknown_recipient_checks\n");
  REQUIRE(found(more, State::Warn, "a second time"));
  CHECK(more[0].mend[0].find("no_address_mappings,no_unknown_recipient_checks,no_milters") !=
        std::string::npos);
  CHECK(look(filter, back + "receive_override_options = no_milters\n")[0].state == State::Ok);
  CHECK(look(filter, back + "smtpd_milters = \n")[0].state == State::Ok);
  CHECK(look("", "")[0].state == State::Ok);
  CHECK(look("content_filter = pipe:\n", "")[0].state == State::Ok);
}

TEST_CASE("a content filter's host should be in exempt.networks") {
  const std::string main = "content_filter = smtp:[192.0.2.99]:10024\n";
  const auto findings = check_milters(
      patient({.toml = kListen + "[exempt]\nnetworks = [\"198.51.100.0/24\"]\n", .main = main}));
  REQUIRE(found(findings, State::Warn, "192.0.2.99 is not in exempt.networks"));
  CHECK(findings[0].setting == "[exempt] networks = [\"198.51.100.0/24\", \"192.0.2.99\"]");
  const auto exempt = check_milters(
      patient({.toml = kListen + "[exempt]\nnetworks = [\"192.0.2.0/24\"]\n", .main = main}));
  CHECK(exempt[0].state == State::Ok);
}

TEST_CASE("the same socket has several spellings") {
  for (const char* address :
       {"unix:segmilter/milter.sock", "unix:/var/spool/postfix/segmilter/milter.sock",
        "local:segmilter/../segmilter/milter.sock"}) {
    INFO(address);
    const auto value = fmt::format(
        "{{ {}, default_action=accept, connect_timeout=2s, command_timeout=5s }}", address);
    CHECK(check_milters(patient({.milters = value}))[0].state == State::Ok);
  }
  const auto inet = kListen + "[filter]\nsocket = \"inet:8890@127.0.0.1\"\n";
  const std::string by_port =
      "{ inet:localhost:8890, default_action=accept, connect_timeout=2s, command_timeout=5s }";
  CHECK(check_milters(patient({.toml = inet, .milters = by_port}))[0].state == State::Ok);
  CHECK(check_milters(patient({.toml = inet, .milters = "inet:localhost:8891"}))[0].state ==
        State::Fail);
}

TEST_CASE("in a chroot an absolute path leads elsewhere") {
  const auto value =
      "{ unix:/var/spool/postfix/segmilter/milter.sock, default_action=accept, "
      "connect_timeout=2s, command_timeout=5s }";
  const auto findings = check_milters(
      patient({.milters = value, .services = "127.0.0.1:10025 inet n - y - - smtpd\n"}));
  REQUIRE(found(findings, State::Fail, "in its chroot"));
  CHECK(findings[0].mend[0] == "postconf -e 'smtpd_milters = " + kOurs + "'");
}

TEST_CASE("a service's own smtpd_milters are removed, so that main.cf's apply") {
  const auto findings = check_milters(
      patient({.overrides = "127.0.0.1:10025/inet/smtpd_milters = inet:127.0.0.1:11332\n"}));
  REQUIRE(found(findings, State::Fail, "does not name"));
  CHECK(findings[0].mend[0] == "postconf -PX 127.0.0.1:10025/inet/smtpd_milters");
}

TEST_CASE("command_timeout must be longer than the filter's evidence_timeout") {
  const auto toml = kListen + "[filter]\nevidence_timeout = \"6s\"\n";
  const auto findings = check_milters(patient({.toml = toml}));
  REQUIRE(found(findings, State::Warn, "gives up before the filter"));
}

TEST_CASE("each line names Postfix's folder if it is not the default") {
  auto ill = patient({.milters = ""});
  ill.postfix_config = "/etc/postfix two";
  const auto mend = check_milters(ill)[0].mend;
  CHECK(mend[0].starts_with("postconf -c '/etc/postfix two' -e 'smtpd_milters"));
  CHECK(mend[1] == "postfix -c '/etc/postfix two' reload");
}

TEST_CASE("the upstream service has to expect a PROXY header, and no other service may") {
  const auto missing = check_proxy_protocol(patient({.overrides = ""}));
  REQUIRE(found(missing, State::Fail, "every client is 127.0.0.1"));
  CHECK(missing[0].mend[0] ==
        "postconf -P 127.0.0.1:10025/inet/smtpd_upstream_proxy_protocol=haproxy");
  const auto global = check_proxy_protocol(patient(
      {.main = "smtpd_upstream_proxy_protocol = haproxy\n",
       .services = "127.0.0.1:10025 inet n - n - - smtpd\nsubmission inet n - n - - smtpd\n"}));
  REQUIRE(found(global, State::Fail, "submission/inet has it too"));
  CHECK(global[0].mend[1] == "postconf -X smtpd_upstream_proxy_protocol");
}

TEST_CASE("an address family that clients use but Postfix does not") {
  auto four = patient({.main = "inet_protocols = ipv4\n"});
  CHECK(found(check_proxy_protocol(four), State::Ok,
              "expects the PROXY header"));  // no client can come over IPv6
  four.addresses.push_back(*net::Endpoint::parse("[2001:db8::25]:0"));
  const auto findings = check_proxy_protocol(four);
  REQUIRE(found(findings, State::Fail, "each client that comes over IPv6"));
  CHECK(findings.size() == 1);
  CHECK(findings[0].mend == std::vector<std::string>{"postconf -e 'inet_protocols = all'",
                                                     "postfix stop", "postfix start"});
  for (const char* both : {"all", "ipv4, ipv6", "ipv6, ipv4"}) {
    auto well = patient({.main = std::string("inet_protocols = ") + both + "\n"});
    well.addresses = four.addresses;
    CHECK(found(check_proxy_protocol(well), State::Ok, "expects the PROXY header"));
  }
  auto six = patient({.main = "inet_protocols = ipv6\n"});
  CHECK(found(check_proxy_protocol(six), State::Fail, "each client that comes over IPv4"));
}

TEST_CASE("Postfix has to use the upstream address's family") {
  auto four = patient({.toml = "[proxy]\nlisten = [\"0.0.0.0:25\"]\nupstream = \"[::1]:10025\"\n",
                       .main = "inet_protocols = ipv4\n",
                       .services = "[::1]:10025 inet n - n - - smtpd\n",
                       .overrides = "[::1]:10025/inet/smtpd_upstream_proxy_protocol = haproxy\n"});
  const auto findings = check_proxy_protocol(four);
  REQUIRE(found(findings, State::Fail, "cannot listen there"));
  CHECK(findings[0].mend == std::vector<std::string>{"postconf -e 'inet_protocols = all'",
                                                     "postfix stop", "postfix start"});
  four.postfix_runs = false;
  CHECK(check_proxy_protocol(four)[0].mend ==
        std::vector<std::string>{"postconf -e 'inet_protocols = all'", "postfix start"});
}

TEST_CASE("a configuration that observes nothing is reported, with the setting that fixes it") {
  const auto findings = check_configuration(patient({.toml = ""}));
  REQUIRE(found(findings, State::Warn, "both are empty: nothing is observed"));
  CHECK(findings.back().setting == "[wire] ports = [25]");
}

TEST_CASE("postscreen has its own setting, and the smtpd after it must have none") {
  const std::string services =
      "127.0.0.1:10025 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n";
  const std::string told = "127.0.0.1:10025/inet/postscreen_upstream_proxy_protocol = haproxy\n";
  CHECK(
      found(check_proxy_protocol(patient({.services = services})), State::Fail, "does not expect"));
  CHECK(found(check_proxy_protocol(patient({.services = services, .overrides = told})), State::Ok,
              "(postscreen)"));
  const auto twice = check_proxy_protocol(
      patient({.services = services,
               .overrides = told + "smtpd/pass/smtpd_upstream_proxy_protocol = haproxy\n"}));
  REQUIRE(found(twice, State::Warn, "ignored there"));
  CHECK(twice[0].mend[0] == "postconf -PX smtpd/pass/smtpd_upstream_proxy_protocol");
  CHECK(found(check_proxy_protocol(patient(
                  {.services = "127.0.0.1:10025 inet n - n - 1 postscreen\n", .overrides = told})),
              State::Fail, "no smtpd of type pass"));
}

TEST_CASE("only one program can have port 25") {
  const std::string ours = "127.0.0.1:10025 inet n - n - - smtpd\n";
  for (const char* line : {"smtp inet n - n - - smtpd\n", "25 inet n - n - - smtpd\n",
                           "192.0.2.25:smtp inet n - n - 1 postscreen\n"}) {
    INFO(line);
    const auto findings = check_ports(patient({.services = ours + line}));
    REQUIRE(findings.size() == 1);
    CHECK(found(findings, State::Fail, "both want port 25"));
  }
  const auto one = kListen.substr(0, kListen.find(",")) + "]\nupstream = \"127.0.0.1:10025\"\n";
  CHECK(found(
      check_ports(patient({.toml = one, .services = ours + "[::1]:2525 inet n - n - - smtpd\n"})),
      State::Ok, "no service of master.cf uses"));
  const auto wire =
      check_ports(patient({.toml = kWire, .services = "2525 inet n - n - - smtpd\n"}));
  REQUIRE(found(wire, State::Fail, "nothing to observe"));
  CHECK(wire[0].mend[0] == "postconf -M 'smtp/inet=smtp inet n - n - - smtpd'");
}

TEST_CASE("if there is no service for upstream, a line creates one") {
  const auto findings = check_postconf(patient({.services = "smtp inet n - n - - smtpd\n"}));
  REQUIRE(found(findings, State::Fail, "no smtpd on 127.0.0.1:10025"));
  CHECK(findings[0].mend[0] ==
        "postconf -M '127.0.0.1:10025/inet=127.0.0.1:10025 inet n - n - - smtpd -o "
        "smtpd_upstream_proxy_protocol=haproxy'");
}

TEST_CASE("a network that is too large may relay") {
  const auto world =
      check_mynetworks(patient({.main = "mynetworks = 10.0.0.0/8 0.0.0.0/1 [::]/0\n"}));
  REQUIRE(found(world, State::Fail, "OPEN RELAY: mynetworks has 0.0.0.0/1 [::]/0"));
  CHECK(world[0].mend[0] == "postconf -e 'mynetworks = 10.0.0.0/8'");
  CHECK(found(check_mynetworks(patient({})), State::Ok, "loopback may relay"));
}

TEST_CASE("the proxy must not hang up before Postfix") {
  const auto findings = check_timeouts(patient({.main = "smtpd_timeout = 10m\n"}));
  REQUIRE(found(findings, State::Warn, "hangs up before"));
  CHECK(findings[0].setting == "[proxy] idle_timeout = \"630s\"");
  CHECK(found(check_timeouts(patient({.main = "smtpd_timeout = ${stress?{10}:{300}}s\n"})),
              State::Skip, "not a plain time"));
}

TEST_CASE("how long Postfix may take for one answer, and whether the proxy waits for it") {
  const std::string three =
      kOurs + ", inet:127.0.0.1:11332, { inet:127.0.0.1:8891, content_timeout=20m }";
  const struct {
    const char* name;
    Case values;
    std::string answer_timeout;
    State state;
    const char* words;
    const char* setting;
  } rows[] = {
      {"one milter",
       {},
       "1h",
       State::Ok,
       "may take 300 s for a reply (for the end of a message: 1 milter 300 s)",
       ""},
      {"milters, one with a time of its own",
       {.milters = three},
       "1h",
       State::Ok,
       "the end of a message: 3 milters 1800 s",
       ""},
      {"more milters than time",
       {.milters = three},
       "1000s",
       State::Warn,
       "arrives twice",
       "[proxy] answer_timeout = \"1830s\""},
      {"less than a client waits",
       {},
       "500s",
       State::Warn,
       "arrives twice",
       "[proxy] answer_timeout = \"630s\""},
      {"less than smtpd_timeout",
       {.main = "smtpd_timeout = 2h\n"},
       "1h",
       State::Warn,
       "hangs up",
       "[proxy] answer_timeout = \"7230s\""},
      {"policy services, in a class too",
       {.main = "smtpd_restriction_classes = grey\ngrey = check_policy_service unix:private/grey, "
                "grey\n"
                "smtpd_sender_restrictions = check_policy_service { inet:127.0.0.1:1, "
                "timeout=1000s, try_limit=1 }\n"
                "smtpd_recipient_restrictions = reject_unauth_destination, grey\n"},
       "1200s",
       State::Warn,
       "arrives twice",
       "[proxy] answer_timeout = \"1236s\""},
      {"the end of data",
       {.main = "smtpd_end_of_data_restrictions = check_policy_service "
                "unix:private/p\nsmtpd_proxy_filter = 127.0.0.1:10026\n"},
       "1h",
       State::Ok,
       "1 milter 300 s, 1 policy service 201 s, 1 smtpd_proxy_filter 100 s",
       ""},
  };
  for (auto row : rows) {
    INFO(row.name);
    row.values.toml = kListen + "answer_timeout = \"" + row.answer_timeout + "\"\n";
    const auto findings = check_timeouts(patient(row.values));
    REQUIRE(findings.size() == 2);
    INFO(findings[1].found);
    CHECK(found({findings[1]}, row.state, row.words));
    CHECK(findings[1].setting == row.setting);
  }
}

TEST_CASE("one client must not be able to use all processes") {
  CHECK(found(check_limits(patient({.services = "127.0.0.1:10025 inet n - n - 50 smtpd\n"})),
              State::Warn, "all smtpd processes"));
  CHECK(found(check_limits(patient({.services = "127.0.0.1:10025 inet n - n - 0 smtpd\n"})),
              State::Ok, "smtpd processes"));
}

TEST_CASE("missing settings of Postfix are reported only once") {
  auto blind = patient({});
  blind.postfix.reset();
  blind.postfix_error = "postconf cannot be run. Is it installed?";
  CHECK(found(check_postconf(blind), State::Fail, "Is it installed?"));
  for (const Look look : {check_milters, check_proxy_protocol, check_ports, check_timeouts,
                          check_mynetworks, check_limits}) {
    CHECK(look(blind).empty());
  }
}

TEST_CASE("how Postfix spells the milter socket") {
  const auto spelled = [](const char* socket, const char* queue) {
    return postfix_spelling(std::get<config::MilterSocket>(config::parse_milter_socket(socket)),
                            queue);
  };
  CHECK(spelled("unix:/var/spool/postfix/a/b.sock", "/var/spool/postfix") == "unix:a/b.sock");
  CHECK(spelled("unix:/run/a.sock", "/var/spool/postfix") == "unix:/run/a.sock");
  CHECK(spelled("inet:8890@127.0.0.1", "/q") == "inet:127.0.0.1:8890");
  CHECK(spelled("inet6:8890@::1", "/q") == "inet:[::1]:8890");
  CHECK(spelled("inet:8890@mx1.example.org", "/q") == "inet:mx1.example.org:8890");
}

TEST_CASE("the milter socket is recognized in each spelling of smtpd_milters") {
  const auto same = [](const char* address, const char* socket) {
    return same_socket(address, std::get<config::MilterSocket>(config::parse_milter_socket(socket)),
                       "/q");
  };
  CHECK(same("unix:a/b.sock", "unix:/q/a/b.sock"));
  CHECK(same("local:/q/a/b.sock", "unix:/q/a/b.sock"));
  CHECK(same("unix:/a/b.sock", "unix:/q/a/b.sock"));  // in a chroot
  CHECK(same("unix:a/./b.sock", "unix:/q/a/b.sock"));
  CHECK(same("inet:localhost:8890", "inet:8890@127.0.0.1"));
  CHECK(same("inet:[::1]:8890", "inet6:8890@::1"));
  for (const char* other :
       {"unix:a/c.sock", "unix:", "unix", "", "inet:8890", "inet:127.0.0.1:8890"}) {
    INFO(other);
    CHECK_FALSE(same(other, "unix:/q/a/b.sock"));
  }
  for (const char* other : {"inet:127.0.0.1:889", "inet:8890", "inet:127.0.0.1:", "unix:8890"}) {
    INFO(other);
    CHECK_FALSE(same(other, "inet:8890@127.0.0.1"));
  }
}

TEST_CASE("the doctor's client comes from an address that is not in mynetworks, if it can") {
  auto both = patient({.main = "mynetworks = 127.0.0.0/8 192.0.2.0/24\n"});
  both.addresses = {*net::Endpoint::parse("192.0.2.25:0"), *net::Endpoint::parse("[2001:db8::1]:0"),
                    *net::Endpoint::parse("198.51.100.25:0")};
  CHECK(front_doors(both).size() == 2);
  CHECK(front_doors(both)[0].print() == "198.51.100.25:25");
  CHECK(front_doors(both)[1].print() == "[2001:db8::1]:25");
  both.addresses.pop_back();
  CHECK(front_doors(both)[0].print() == "192.0.2.25:25");
  both.addresses.clear();
  CHECK(front_doors(both)[0].print() == "127.0.0.1:25");
  CHECK(front_doors(patient({.toml = kWire}))[0].print() == "192.0.2.25:25");
  CHECK(front_doors(patient({.toml = ""})).empty());
  auto without = both;
  without.ipv6 = false;
  CHECK(front_doors(without).size() == 1);
  const auto two = patient({.toml = "[wire]\nports = [25, 2525]\n"});
  REQUIRE(front_doors(two).size() == 2);
  CHECK(front_doors(two)[1].print() == "192.0.2.25:2525");
}

TEST_CASE("another milter that is down stops mail, unless Postfix accepts mail without it") {
  const std::string dead = "inet:127.0.0.1:11332";
  const auto look = [&](const std::string& milters, const std::string& main = "") {
    const auto one = patient({.milters = milters, .main = main});
    const auto* smtpd = mail_services(one).front();
    const auto entries = parse_milters(one.postfix->value(*smtpd, "smtpd_milters"));
    const auto* entry = &entries.front();
    for (const auto& each : entries) {
      if (each.address == dead) entry = &each;
    }
    return judge_dead(one, *smtpd, *entry, "Connection refused");
  };
  const auto first = look(dead + ", " + kOurs);
  CHECK(first.state == State::Fail);
  CHECK(first.found.find("its default_action is tempfail: Postfix accepts no mail") !=
        std::string::npos);
  CHECK(first.mend == std::vector<std::string>{"postconf -e 'smtpd_milters = " + kOurs + ", { " +
                                                   dead + ", default_action=accept }'",
                                               "postfix reload"});
  const auto own = look(kOurs + ", { " + dead + ", default_action=reject, connect_timeout=1s }");
  CHECK(own.state == State::Fail);
  CHECK(own.mend.front().find("{ " + dead + ", default_action=accept, connect_timeout=1s }") !=
        std::string::npos);
  CHECK(look(kOurs + ", { " + dead + ", default_action=accept }").state == State::Skip);
  CHECK(look(dead, "milter_default_action = accept\n").state == State::Skip);
}

TEST_CASE("systemd has to start segmilter at boot") {
  const auto one = patient({});
  CHECK(judge_enabled(one, "enabled").state == State::Ok);
  CHECK(judge_enabled(one, "enabled-runtime").state == State::Ok);
  const auto off = judge_enabled(one, "disabled");
  CHECK(off.state == State::Warn);
  CHECK(off.found.find("clients are refused") != std::string::npos);
  CHECK(off.mend == std::vector<std::string>{"systemctl enable segmilter"});
  CHECK(judge_enabled(patient({.toml = kWire}), "disabled").found.find("without a label") !=
        std::string::npos);
  CHECK(judge_enabled(one, "masked").mend.size() == 2);
  for (const char* state : {"", "not-found", "Failed to get unit file state"}) {
    CHECK(judge_enabled(one, state).state == State::Skip);
  }
}

TEST_CASE("a client is found in Postfix's log") {
  const auto client = *net::Endpoint::parse("192.0.2.7:40112");
  const struct {
    const char* log;
    Seen seen;
  } rows[] = {
      {"", Seen::Nothing},
      {"x postfix/smtpd[7]: disconnect from unknown[192.0.2.7]:40112 quit=1\n", Seen::Nothing},
      {"x postfix/smtpd[7]: connect from unknown[192.0.2.7]:40112\n", Seen::Port},
      {"connect from mail.example[192.0.2.7]:40112", Seen::Port},
      {"x postfix/postscreen[7]: CONNECT from [192.0.2.7]:40112 to [192.0.2.25]:25\n", Seen::Port},
      {"x postfix/smtpd[7]: connect from unknown[192.0.2.7]\n", Seen::AddressOnly},
      {"x postfix/smtpd[7]: connect from unknown[192.0.2.7]:401\n", Seen::Others},
      {"x postfix/smtpd[7]: connect from unknown[192.0.2.7]:401123\n", Seen::Others},
      {"x postfix/smtpd[7]: connect from unknown[192.0.2.8]:40112\n", Seen::Others},
      {"x postfix/smtpd[7]: connect from localhost[127.0.0.1]:5\n", Seen::Loopback},
      {"x: connect from a[192.0.2.8]:5\nx: connect from localhost[::1]:5\n", Seen::Loopback},
      {"x: connect from localhost[127.0.0.1]:5\nx: connect from a[192.0.2.7]:40112\n", Seen::Port},
  };
  for (const auto& row : rows) {
    INFO(row.log);
    CHECK(seen_in_log(row.log, client) == row.seen);
  }
}

TEST_CASE("the bits of a mode that apply to an account") {
  const Account postfix{"postfix", 100, 110, "postfix", {110, 120}};
  const auto granted = [&](mode_t mode, uid_t owner, gid_t group) {
    const auto access = access_for(postfix, mode, owner, group, 2);
    return fmt::format("{}{}", access.who, access.granted ? "+" : "-");
  };
  CHECK(granted(0660, 1, 110) == "g+");
  CHECK(granted(0660, 1, 120) == "g+");
  CHECK(granted(0600, 1, 110) == "g-");
  CHECK(granted(0606, 1, 110) == "g-");  // the bits of the group apply, not those of the others
  CHECK(granted(0660, 1, 1) == "o-");
  CHECK(granted(0066, 100, 1) == "u-");
}

TEST_CASE("a program is run, and killed after its time limit") {
  using std::chrono::seconds;
  const auto said = run_command({"sh", "-c", "echo out; echo why >&2; exit 3"}, seconds(5));
  CHECK(said.status == 3);
  CHECK(said.output == "out\n");
  CHECK(said.error == "why");
  CHECK(run_command({"no-such-program-here"}, seconds(5)).error ==
        "no-such-program-here cannot be run. Is it installed?");
  for (const char* script : {"sleep 60", "exec >&- 2>&-; sleep 60"}) {
    INFO(script);
    const auto late = run_command({"sh", "-c", script}, seconds(1));
    CHECK(late.status == -1);
    CHECK(late.error == "sh did not end within 1 s");
  }
  const auto much = run_command({"sh", "-c", "head -c 3000000 /dev/zero"}, seconds(20));
  CHECK(much.status == 0);
  CHECK(much.output.size() == kMaxOutput);
}

TEST_CASE("the firewall's rules have to send each port to each listener") {
  const Patient both =
      patient({.toml = "[proxy]\nlisten = [\"127.0.0.1:10024\", \"[::1]:10024\"]\ntproxy_ports = "
                       "[25, 2525]\nupstream = \"127.0.0.1:10025\"\n"});
  // As nft 1.0.6 prints them.
  const std::string v4 =
      "\t\tmeta nfproto ipv4 tcp dport { 25, 2525 } tproxy ip to 127.0.0.1:10024 meta mark set "
      "0x0000736d accept\n";
  const std::string v6 =
      "\t\tmeta nfproto ipv6 tcp dport { 25, 2525 } tproxy ip6 to [::1]:10024 meta mark set "
      "0x0000736d accept\n";
  CHECK(judge_rules(both, v4 + v6).state == State::Ok);
  struct Row {
    const char* what;
    std::string rules;
  };
  const std::string one =
      "\t\tmeta nfproto ipv6 tcp dport 2525 tproxy ip6 to [::1]:10024 meta mark set 1 accept\n";
  const Row rows[] = {
      {"none", ""},
      {"one family only", v4},
      {"of the other family one port only", v4 + one},
      {"another port of the proxy", v4 + "tcp dport { 25, 2525 } tproxy ip6 to [::1]:100 accept\n"},
      {"a longer one", v4 + "tcp dport { 25, 2525 } tproxy ip6 to [::1]:100240 accept\n"},
      {"a longer port", v4 + "tcp dport { 125, 2525 } tproxy ip6 to [::1]:10024 accept\n"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto finding = judge_rules(both, row.rules);
    CHECK(finding.state == State::Fail);
    CHECK(finding.mend ==
          std::vector<std::string>{"segmilter nft -c /etc/segmilter/segmilter.toml | nft -f -"});
  }
}

TEST_CASE("connections from the clients' addresses have to come back") {
  const auto one = patient({});
  // As ip 6.1 prints them.
  const std::string rules4 =
      "0:\tfrom all lookup local\n29549:\tfrom 127.0.0.0/8 iif lo lookup 29549\n";
  const std::string rules6 = "0:\tfrom all lookup local\n29549:\tfrom ::1 iif lo lookup 29549\n";
  const std::string route = "local default dev lo scope host \n";
  const struct {
    const char* what;
    Routing routing;
    const char* found;
  } rows[] = {
      {"they do", {true, "", "", ""}, "come back (IPv4)"},
      {"no rule", {true, "it failed", "0:\tfrom all lookup local\n", route}, "no rule"},
      {"the other family's", {false, "it failed", rules4, route}, "no rule \"from ::1"},
      {"to another table",
       {true, "it failed", "9:\tfrom 127.0.0.0/8 iif lo lookup 100\n", route},
       "no rule"},
      {"no route", {true, "it failed", rules4, ""}, "no route"},
      {"a route elsewhere", {true, "it failed", rules4, "default via 192.0.2.1\n"}, "no route"},
      {"both are there", {true, "it failed", rules4, route}, "it failed; the routing rule"},
      {"both are there, IPv6", {false, "it failed", rules6, route}, "it failed; the routing rule"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    const auto finding = judge_routing(one, row.routing);
    CHECK((finding.state == State::Ok) == row.routing.why_not.empty());
    CHECK_THAT(finding.found, Catch::Contains(row.found));
    const bool by_rules = finding.found.starts_with("no ");
    CHECK((finding.mend ==
           std::vector<std::string>{
               "segmilter nft -c /etc/segmilter/segmilter.toml --routing | sh -e"}) == by_rules);
  }
}

TEST_CASE("a way that needs no PROXY header is not asked for one") {
  const std::string toml =
      "[proxy]\nlisten = [\"127.0.0.1:10024\"]\ntproxy_ports = [25]\nupstream = "
      "\"127.0.0.1:25\"\nupstream_protocol = \"transparent\"\n";
  auto one = patient({.toml = toml, .services = "smtp inet n - n - - smtpd\n"});
  CHECK(has_proxy(one));
  CHECK_FALSE(uses_proxy_header(one));
  CHECK(check_proxy_protocol(one).empty());
  CHECK(check_upstream_scope(one).empty());
  CHECK(check_upstream(one).empty());
  // The service is there, and where it is not, it is Debian's own that is missing.
  CHECK(check_postconf(one).front().state == State::Ok);
  auto none = patient({.toml = toml, .services = "pickup unix n - n 60 1 pickup\n"});
  CHECK(check_postconf(none).front().mend.front() ==
        "postconf -M 'smtp/inet=smtp inet n - n - - smtpd'");
  // A client of the doctor is not on loopback.
  const auto door = *net::Endpoint::parse("127.0.0.1:10024");
  one.addresses = {*net::Endpoint::parse("192.0.2.25:0"),
                   *net::Endpoint::parse("[2001:db8::25]:0")};
  CHECK(front_address(one, door) == *net::Endpoint::parse("192.0.2.25:0"));
  CHECK_FALSE(front_address(patient({}), door));
}

TEST_CASE("Postfix has to keep the port that the firewall sends to the proxy") {
  const std::string toml =
      "[proxy]\nlisten = [\"127.0.0.1:10024\"]\ntproxy_ports = [25]\nupstream = "
      "\"127.0.0.1:10025\"\n";
  const std::string upstream = "127.0.0.1:10025 inet n - n - - smtpd\n";
  CHECK(
      check_own_port(patient({.toml = toml, .services = "smtp inet n - n - - smtpd\n" + upstream}))
          .empty());
  const auto findings = check_own_port(patient({.toml = toml, .services = upstream}));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].state == State::Fail);
  CHECK(findings[0].mend.front() == "postconf -M 'smtp/inet=smtp inet n - n - - smtpd'");
}

TEST_CASE("the store: what is there, what is damaged, and whether there is room") {
  constexpr memory::Day kToday{std::chrono::year(2026) / 11 / 27};
  const auto yesterday = kToday - std::chrono::days(1);
  auto patient = ::patient({});
  patient.config.memory.max_bytes = 10 << 20;
  patient.config.memory.min_free = 5 << 20;
  StoreLook look{.uses = {}, .free = 8 << 20, .last_write = std::nullopt};
  CHECK(found(judge_store(patient, look, kToday), State::Ok, "no message was remembered yet"));
  look.uses[kToday] = {3 << 20, {"messages-20261127.db", "messages-20261127.db-wal"}};
  look.last_write = 1'795'780'800;
  CHECK(found(judge_store(patient, look, kToday), State::Ok, "/var/lib/segmilter: 1 day, 3.0 MB"));
  look.uses[yesterday] = {2 << 20, {"messages-20261126.db"}};
  CHECK(
      found(judge_store(patient, look, kToday), State::Ok,
            "/var/lib/segmilter: 2 days, 5.0 MB, last written 2026-11-27T12:00:00Z, 8.0 MB free"));
  look.free = 4 << 20;  // yesterday will be removed
  CHECK(found(judge_store(patient, look, kToday), State::Ok, "2 days"));
  look.free = 2 << 20;
  CHECK(found(judge_store(patient, look, kToday), State::Warn,
              "(5.0 MB in /var/lib/segmilter, 2.0 MB free): messages are labelled but not"));
  look.free = 8 << 20;
  look.uses[kToday].bytes = 11 << 20;
  CHECK(found(judge_store(patient, look, kToday), State::Warn, "today alone are too large"));
  look.uses[kToday].bytes = 3 << 20;
  look.uses[yesterday].files = {"messages-20261126.db.corrupt-1795780800"};
  const auto damaged = judge_store(patient, look, kToday);
  CHECK(found(damaged, State::Warn,
              "damaged and moved aside: messages-20261126.db.corrupt-1795780800. Their"));
  CHECK(
      damaged.front().mend ==
      std::vector<std::string>{"rm -- /var/lib/segmilter/messages-20261126.db.corrupt-1795780800"});
}

TEST_CASE("the store: files of days in the future are named, except for the next day") {
  constexpr memory::Day kToday{std::chrono::year(2026) / 11 / 27};
  auto patient = ::patient({});
  StoreLook look{.uses = {}, .free = 8ULL << 30, .last_write = 1'795'780'800};
  look.uses[kToday] = {3 << 20, {"messages-20261127.db"}};
  look.uses[kToday + std::chrono::days(1)] = {3 << 20, {"messages-20261128.db"}};
  CHECK(found(judge_store(patient, look, kToday), State::Ok, "2 days"));
  look.uses[std::chrono::sys_days(std::chrono::year(2099) / 12 / 31)] = {
      3 << 20, {"messages-20991231.db", "messages-20991231.db-wal"}};
  const auto findings = judge_store(patient, look, kToday);
  CHECK(found(findings, State::Warn,
              "of days in the future: messages-20991231.db and 1 more. The clock was wrong"));
  CHECK(findings.front().mend ==
        std::vector<std::string>{"rm -- /var/lib/segmilter/messages-20991231.db "
                                 "/var/lib/segmilter/messages-20991231.db-wal"});
}

TEST_CASE("the store: a folder that is not there, and none at all") {
  auto patient = ::patient({});
  patient.config.general.user = "nobody";
  patient.config.memory.folder = "/no/such/folder";
  const auto findings = check_store(patient);
  REQUIRE(findings.size() == 1);
  CHECK(found(findings, State::Warn, "the folder does not exist: messages are labelled but not remembered"));
  CHECK(findings[0].mend ==
        std::vector<std::string>{"install -d -o nobody -g nogroup -m 0750 /no/such/folder"});
  patient.config.memory.enabled = false;
  CHECK(check_store(patient).empty());
}
