#include "milter/doctor/report.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace doctor;

namespace {

const std::vector<Finding> kFindings = {
    {"listen", State::Ok, "", "0.0.0.0:25: segmilter (pid 7) listens", {}, ""},
    {"smtpd_milters",
     State::Warn,
     "smtpd_milters of smtp/inet: (empty)",
     "not named",
     {"postconf -e 'smtpd_milters = { unix:a }'", "postfix reload"},
     ""},
    {"open-relay",
     State::Fail,
     "RCPT",
     "OPEN RELAY: a stranger may send: 250 \033[2JOk\r.",
     {},
     ""},
    {"timeouts", State::Skip, "smtpd_timeout", "not told", {}, "[proxy] idle_timeout = \"330s\""},
};

}  // namespace

TEST_CASE("each finding has a line, and if it is not ok, the lines that fix it") {
  CHECK(report_text(kFindings, false) ==
        "ok    listen         0.0.0.0:25: segmilter (pid 7) listens\n"
        "warn  smtpd_milters  not named\n"
        "        looked at  smtpd_milters of smtp/inet: (empty)\n"
        "        to fix it  postconf -e 'smtpd_milters = { unix:a }'\n"
        "        to fix it  postfix reload\n"
        "FAIL  open-relay     OPEN RELAY: a stranger may send: 250 \\x1b[2JOk\\x0d.\n"
        "        looked at  RCPT\n"
        "skip  timeouts       not told\n"
        "        looked at  smtpd_timeout\n"
        "        setting    [proxy] idle_timeout = \"330s\"\n"
        "1 ok, 1 warning, 1 failed, 1 skipped\n"
        "OPEN RELAY: a stranger may send: 250 \\x1b[2JOk\\x0d. Fix this first.\n");
}

TEST_CASE("all fixing lines are repeated once, in an order that works") {
  const std::string ours = "postconf -e 'smtpd_milters = { unix:a }'";
  const std::vector<Finding> findings = {
      {"listen", State::Fail, "", "nobody", {"systemctl restart segmilter"}, ""},
      {"tproxy",
       State::Fail,
       "",
       "no nft",
       {"apt-get install nftables", "segmilter nft | nft -f -"},
       ""},
      {"ports", State::Fail, "", "both", {"postconf -M# smtp/inet", "postfix reload"}, ""},
      {"milter-socket", State::Fail, "", "closed", {"chmod g+rw /run/a"}, "[filter] a = 1"},
      {"smtpd_milters", State::Warn, "", "second", {ours, "postfix reload"}, ""},
      {"smtpd_milters", State::Warn, "", "slow", {ours, "postfix reload"}, ""},
      {"timeouts", State::Skip, "", "not told", {"postconf -e x=1"}, "[proxy] b = 2"}};
  const std::vector<std::string> wanted = {
      "apt-get install nftables", "chmod g+rw /run/a",
      "postconf -M# smtp/inet",   ours,
      "postfix reload",           "segmilter.toml: [filter] a = 1",
      "segmilter nft | nft -f -", "systemctl restart segmilter"};
  CHECK(mend_in_order(findings) == wanted);
  CHECK(nlohmann::json::parse(report_json(findings))["mend"] == nlohmann::json(wanted));
  CHECK(report_text(findings, false)
            .find("run these lines in this order:\n    apt-get install nftables\n    chmod") !=
        std::string::npos);
  auto stopped = findings;
  stopped[5].mend = {"postconf -e 'inet_protocols = all'", "postfix stop", "postfix start"};
  const auto lines = mend_in_order(stopped);
  CHECK(std::find(lines.begin(), lines.end(), "postfix reload") == lines.end());
  CHECK(std::find(lines.begin(), lines.end(), "postfix start") -
            std::find(lines.begin(), lines.end(), "postfix stop") ==
        1);
  CHECK(mend_in_order({}).empty());
}

TEST_CASE("colours are used only on request") {
  CHECK(report_text(kFindings, false).find('\033') == std::string::npos);
  CHECK(report_text(kFindings, true).starts_with("\033[32mok  \033[0m  listen"));
}

TEST_CASE("text from a peer prints no escape sequence: 7-bit, 8-bit, or in UTF-8") {
  const std::vector<Finding> findings = {{"upstream",
                                          State::Warn,
                                          "a\x9b"
                                          "2J",
                                          "220 \x1b[2J \x9b"
                                          "2J \xc2\x9b"
                                          "2J \xd0\x9b"
                                          "2J \x7f",
                                          {"cat '/etc/postf\xc3\xadx'"},
                                          ""}};
  for (const auto& text : {report_text(findings, false), report_json(findings)}) {
    INFO(text);
    CHECK(text.find('\033') == text.npos);
    CHECK(text.find('\x9b') == text.npos);
    CHECK(text.find('\x7f') == text.npos);
  }
  CHECK(report_text(findings, false) ==
        "warn  upstream  220 \\x1b[2J \\x9b2J \\xc2\\x9b2J \\xd0\\x9b2J \\x7f\n"
        "        looked at  a\\x9b2J\n"
        "        to fix it  cat '/etc/postf\xc3\xadx'\n"
        "0 ok, 1 warning, 0 failed, 0 skipped\n");
}

TEST_CASE("the findings as JSON") {
  const auto json = nlohmann::json::parse(report_json(kFindings));
  REQUIRE(json["findings"].size() == 4);
  const auto& second = json["findings"][1];
  CHECK(second["check"] == "smtpd_milters");
  CHECK(second["state"] == "warn");
  CHECK(second["mend"][1] == "postfix reload");
  CHECK(json["findings"][3]["setting"] == "[proxy] idle_timeout = \"330s\"");
  CHECK(json["ok"] == 1);
  CHECK(json["warn"] == 1);
  CHECK(json["fail"] == 1);
  CHECK(json["skip"] == 1);
}

TEST_CASE("a greeting that is not UTF-8 still gives valid JSON") {
  const std::vector<Finding> odd = {{"upstream", State::Ok, "", "220 \xff\xfe hello", {}, ""}};
  CHECK(nlohmann::json::parse(report_json(odd))["findings"].size() == 1);
}

TEST_CASE("only a failure gives exit code 1") {
  CHECK(exit_code(kFindings) == 1);
  CHECK(exit_code({kFindings[0], kFindings[1], kFindings[3]}) == 0);
  CHECK(exit_code({}) == 0);
}

TEST_CASE("words are quoted for a shell") {
  CHECK(shell_word("/etc/postfix") == "/etc/postfix");
  CHECK(shell_word("127.0.0.1:10025/inet") == "127.0.0.1:10025/inet");
  CHECK(shell_word("[::1]:25/inet") == "'[::1]:25/inet'");
  CHECK(shell_word("a b") == "'a b'");
  CHECK(shell_word("a'b") == "'a'\\''b'");
  CHECK(shell_word("$(reboot)") == "'$(reboot)'");
  CHECK(shell_word("") == "''");
}
