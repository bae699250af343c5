// Combinations of settings that are refused, near misses that are accepted, and warnings.
#include "milter/config/checks.h"

#include <catch2/catch.hpp>

#include "tests/support/config_text.h"

using namespace std::chrono_literals;
using config::Config;
using support::parse;
using support::refusal;

namespace {

// The settings of a proxy that could start, for the checks between settings.
constexpr std::string_view kProxy = "[proxy]\nlisten = [\"0.0.0.0:25\"]\n";

}  // namespace

TEST_CASE("combinations that would be unsafe are refused") {
  struct Row {
    const char* label;
    std::string text;
    const char* message;
  };
  const std::string proxy(kProxy);
  const Row rows[] = {
      {"a desk that other machines reach", "[desk]\nlisten = [\"192.0.2.1:9125\"]\n",
       "test.toml:2: desk.listen: other machines can reach 192.0.2.1:9125, and the desk asks for "
       "no "
       "password: use 127.0.0.1 with an SSH tunnel, or desk.socket behind a web server that asks "
       "for one; or set open = true"},
      {"the desk's socket is another's", "[desk]\nsocket = \"/run/segmilter/evidence.sock\"\n",
       "test.toml:2: desk.socket: another socket has the same path; each socket needs its own"},
      {"no upstream", proxy,
       "test.toml:2: proxy.listen: proxy.upstream is not set: name Postfix's smtpd that expects "
       "the PROXY protocol, such as upstream = \"127.0.0.1:10025\""},
      {"the client's address lost",
       proxy + "upstream = \"127.0.0.1:10025\"\nupstream_protocol = \"none\"\n",
       "test.toml:4: proxy.upstream_protocol: \"none\" is refused: every client would look like "
       "127.0.0.1 to Postfix, which mynetworks permits: an open relay. Use \"proxy-v2\" and "
       "smtpd_upstream_proxy_protocol=haproxy, or \"transparent\", which needs neither"},
      {"transparent to another machine",
       "[proxy]\nlisten = [\"127.0.0.1:10024\"]\nupstream = \"192.0.2.9:25\"\n"
       "upstream_protocol = \"transparent\"\n",
       "test.toml:3: proxy.upstream: \"192.0.2.9:25\" is not on loopback, which "
       "proxy.upstream_protocol = \"transparent\" requires: Postfix would answer to the client and "
       "not to the proxy; use upstream = \"127.0.0.1:25\""},
      {"transparent to itself, by the other family",
       "[proxy]\nlisten = [\"192.0.2.1:25\", \"[::]:25\"]\nupstream = \"127.0.0.1:25\"\n"
       "upstream_protocol = \"transparent\"\n",
       "test.toml:3: proxy.upstream: \"[::1]:25\" is what proxy.listen \"[::]:25\" listens on: the "
       "proxy would talk to itself"},
      {"wire beside a proxy", proxy + "upstream = \"127.0.0.1:10025\"\n[wire]\nports = [25]\n",
       "test.toml:5: wire.ports: proxy.listen is set too, but only one of the two can answer on "
       "evidence.socket; the proxy already observes the mail, so remove wire.ports"},
      {"itself", "[proxy]\nlisten = [\"127.0.0.1:25\"]\nupstream = \"127.0.0.1:25\"\n",
       "test.toml:3: proxy.upstream: \"127.0.0.1:25\" is what proxy.listen \"127.0.0.1:25\" "
       "listens on: the proxy would talk to itself"},
      {"itself by a wildcard", proxy + "upstream = \"127.0.0.1:25\"\n",
       "test.toml:3: proxy.upstream: \"127.0.0.1:25\" is what proxy.listen \"0.0.0.0:25\" listens "
       "on: the proxy would talk to itself"},
      {"upstream is a wildcard", proxy + "upstream = \"0.0.0.0:10025\"\n",
       "test.toml:3: proxy.upstream: this stands for every address; name the one at which "
       "Postfix's "
       "smtpd listens"},
      {"everybody a balancer", "[proxy]\nbalancers = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n",
       "test.toml:2: proxy.balancers: \"0.0.0.0/0\" covers every address: each client could "
       "pretend to be any other, even one that may relay; name only your load balancers"},
      {"everybody a balancer, IPv6", "[proxy]\nbalancers = [\"::/0\"]\n",
       "test.toml:2: proxy.balancers: \"::/0\" covers every address: each client could pretend to "
       "be any other, even one that may relay; name only your load balancers"},
      {"thresholds out of order", "[policy]\nreject = 7\n",
       "test.toml:2: policy.reject: 7 is below policy.quarantine (8, the default): a more severe "
       "action needs a higher score; turn the other action off (quarantine = \"off\"), or give it "
       "a "
       "lower score"},
      {"out of order across one that is off", "[policy]\nquarantine = \"off\"\nreject = 5\n",
       "test.toml:3: policy.reject: 5 is below policy.tempfail (6, the default): a more severe "
       "action needs a higher score; turn the other action off (tempfail = \"off\"), or give it a "
       "lower "
       "score"},
      {"a listener's thresholds out of order", "[listener.a]\nport = 26\nreject = 7\n",
       "test.toml:3: listener.a.reject: 7 is below listener.a.quarantine (8, the default): a "
       "more severe action needs a higher score; turn the other action off (quarantine = \"off\"), "
       "or give "
       "it a lower score"},
      {"a listener below what [policy] sets",
       "[policy]\nquarantine = 8.5\n[listener.a]\nport = 26\nreject = 8.2\n",
       "test.toml:5: listener.a.reject: 8.2 is below listener.a.quarantine (8.5, of [policy]): a "
       "more severe action needs a higher score; turn the other action off (quarantine = \"off\"), "
       "or give "
       "it a lower score"},
      {"a seal without a key", "[seal]\nsign = true\n",
       "test.toml:2: seal.sign: seal.key_file is not set: there is no key to sign with"},
      {"seals that nobody could check", "[seal]\nbelieve_from = [\"192.0.2.1\"]\n",
       "test.toml:2: seal.believe_from: seal.key_file is not set: there is no key to check seals "
       "with"},
      {"a key file that is not there", "[seal]\nkey_file = \"/nonexistent\"\n",
       "test.toml:2: seal.key_file: /nonexistent: cannot be read: No such file or directory"},
      {"a key file that is not absolute", "[seal]\nkey_file = \"keys\"\n",
       "test.toml:2: seal.key_file: \"keys\" is not an absolute path"},
      {"one socket for both", "[filter]\nsocket = \"unix:/run/segmilter/evidence.sock\"\n",
       "test.toml:2: filter.socket: evidence.socket has the same path; each socket needs its own"},
  };
  for (const auto& row : rows) {
    INFO(row.label);
    CHECK(refusal(row.text) == row.message);
  }
}
// clang-format on

TEST_CASE("similar combinations that are safe are accepted") {
  const std::string proxy(kProxy);
  const std::pair<const char*, std::string> rows[] = {
      {"another port", proxy + "upstream = \"127.0.0.1:10025\"\n"},
      {"the same port of another machine", proxy + "upstream = \"192.0.2.9:25\"\n"},
      {"transparent from an address of its own",
       "[proxy]\nlisten = [\"192.0.2.1:25\"]\nupstream = \"127.0.0.1:25\"\n"
       "upstream_protocol = \"transparent\"\n"},
      {"transparent to another loopback address",
       "[proxy]\nlisten = [\"127.0.0.1:10024\", \"[::1]:10024\"]\nupstream = \"127.0.0.2:25\"\n"
       "upstream_protocol = \"transparent\"\n"},
      {"an upstream that waits for a listener", "[proxy]\nupstream = \"127.0.0.1:10025\"\n"},
      {"equal thresholds", "[policy]\ntempfail = 8\nquarantine = 8\nreject = 8\n"},
      {"balancers of a large network", "[proxy]\nbalancers = [\"10.0.0.0/8\", \"fd00::/8\"]\n"},
      {"a desk that other machines may reach",
       "[desk]\nopen = true\nlisten = [\"192.0.2.1:9125\"]\nhosts = [\"mx.example\", "
       "\"192.0.2.1\"]\n"},
      {"only reject", "[policy]\ntempfail = \"off\"\nquarantine = \"off\"\nreject = 2\n"},
      {"a short timeout, for tests", "[proxy]\nidle_timeout = \"1s\"\n"},
      {"dotted keys", "proxy.workers = 1\nlog.level = \"debug\"\n"},
  };
  for (const auto& [label, text] : rows) {
    INFO(label);
    CHECK(refusal(text) == "taken");
  }
}

TEST_CASE("values that are allowed but rarely intended give a warning") {
  CHECK(config::warnings(parse("")).empty());
  CHECK(config::warnings(parse("[proxy]\nidle_timeout = \"299s\"\n")).size() == 1);
  CHECK(config::warnings(parse("[general]\nuser = \"root\"\n")).size() == 1);
  CHECK(config::warnings(parse("[desk]\nlisten = [\"127.0.0.1:9125\", \"[::1]:9125\"]\n")).empty());
  CHECK(
      config::warnings(parse("[desk]\nopen = true\nlisten = [\"127.0.0.1:9125\", \"[::]:9125\"]\n"))
          .size() == 1);
}
