#include "milter/doctor/postfix.h"

#include <catch2/catch.hpp>

using doctor::parse_milters;
using doctor::parse_networks;
using doctor::parse_service_name;
using doctor::parse_time;
using doctor::Postfix;

namespace {

constexpr const char* kMain =
    "mail_version = 3.7.11\n"
    "mynetworks = 127.0.0.0/8 [::1]/128\n"
    "smtpd_milters =\n"
    "smtpd_timeout = 300s\n"
    "compatibility_level = 3.6\n";

constexpr const char* kServices =
    "127.0.0.1:10025 inet n   -       n       -       -       smtpd -o a=b\n"
    "submission inet  n       -       y       -       20      smtpd\n"
    "[::1]:2525 inet  n       -       -       -       -       smtpd\n"
    "smtp       inet  n       -       n       -       1       postscreen\n"
    "smtpd      pass  -       -       n       -       -       smtpd\n"
    "half       a line\n";

constexpr const char* kOverrides =
    "127.0.0.1:10025/inet/smtpd_upstream_proxy_protocol = haproxy\n"
    "127.0.0.1:10025/inet/smtpd_milters = { unix:a, default_action=accept }, inet:b:1\n"
    "nobody/inet/x = y\n";

net::Endpoint endpoint(const char* text) {
  return *net::Endpoint::parse(text);
}

}  // namespace

TEST_CASE("the output of postconf is read") {
  const auto postfix = Postfix::parse(kMain, kServices, kOverrides);
  REQUIRE(postfix.services().size() == 5);
  CHECK(postfix.value("smtpd_timeout") == "300s");
  CHECK(postfix.value("smtpd_milters").empty());
  CHECK(postfix.value("no_such_parameter").empty());
  const auto* upstream = postfix.service_at(endpoint("127.0.0.1:10025"));
  REQUIRE(upstream != nullptr);
  CHECK(upstream->key() == "127.0.0.1:10025/inet");
  CHECK(upstream->command == "smtpd");
  CHECK(postfix.value(*upstream, "smtpd_upstream_proxy_protocol") == "haproxy");
  CHECK(postfix.value(*upstream, "smtpd_milters") == "{ unix:a, default_action=accept }, inet:b:1");
  CHECK(postfix.value(*upstream, "smtpd_timeout") == "300s");
}

TEST_CASE("a service is found by an address that it accepts") {
  const auto postfix = Postfix::parse(kMain, kServices, kOverrides);
  const struct {
    const char* address;
    const char* service;
  } rows[] = {
      {"192.0.2.1:587", "submission"}, {"127.0.0.1:25", "smtp"},
      {"[::1]:2525", "[::1]:2525"},    {"[::1]:10025", ""},
      {"127.0.0.2:10025", ""},         {"127.0.0.1:2525", ""},
  };
  for (const auto& row : rows) {
    INFO(row.address);
    const auto* found = postfix.service_at(endpoint(row.address));
    CHECK((found != nullptr ? found->name : "") == row.service);
  }
}

TEST_CASE("after postscreen the smtpd of type pass is used") {
  const auto postfix = Postfix::parse(kMain, kServices, kOverrides);
  const auto* screen = postfix.service("smtp", "inet");
  REQUIRE(screen != nullptr);
  REQUIRE(postfix.smtpd_behind(*screen) != nullptr);
  CHECK(postfix.smtpd_behind(*screen)->key() == "smtpd/pass");
  const auto* plain = postfix.service("submission", "inet");
  CHECK(postfix.smtpd_behind(*plain) == plain);
  const auto alone = Postfix::parse(kMain, "smtp inet n - n - 1 postscreen\n", "");
  CHECK(alone.smtpd_behind(*alone.service("smtp", "inet")) == nullptr);
}

TEST_CASE("a service without a chroot setting follows the compatibility level") {
  const auto now = Postfix::parse(kMain, kServices, kOverrides);
  CHECK(now.chrooted(*now.service("submission", "inet")));
  CHECK_FALSE(now.chrooted(*now.service("smtp", "inet")));
  CHECK_FALSE(now.chrooted(*now.service("[::1]:2525", "inet")));
  const auto old = Postfix::parse("compatibility_level = 0\n", kServices, kOverrides);
  CHECK(old.chrooted(*old.service("[::1]:2525", "inet")));
}

TEST_CASE("service names") {
  CHECK(parse_service_name("smtp")->port == 25);
  CHECK(parse_service_name("10025")->port == 10025);
  CHECK(parse_service_name("[::1]:10025")->host == "::1");
  CHECK(parse_service_name("localhost:smtp")->host == "localhost");
  for (const char* wrong : {"", "no-such-service", "127.0.0.1:", "99999", "1:2x"}) {
    INFO(wrong);
    CHECK_FALSE(parse_service_name(wrong));
  }
}

TEST_CASE("times") {
  using std::chrono::seconds;
  CHECK(parse_time("300s") == seconds(300));
  CHECK(parse_time("300") == seconds(300));
  CHECK(parse_time("5m") == seconds(300));
  CHECK(parse_time("2h") == seconds(7200));
  CHECK(parse_time("1d") == seconds(86400));
  CHECK(parse_time("1w") == seconds(7 * 86400));
  for (const char* wrong :
       {"", "s", "-1s", "${stress?{10}:{300}}s", "5 m", "1.5h", "99999999999s"}) {
    INFO(wrong);
    CHECK_FALSE(parse_time(wrong));
  }
}

TEST_CASE("networks are parsed, tables are counted") {
  const auto list = parse_networks(
      "127.0.0.0/8, [::1]/128 192.0.2.7 cidr:/etc/postfix/networks !192.0.2.9 /etc/networks");
  CHECK(list.networks.size() == 3);
  CHECK(list.tables == 2);
  CHECK(list.exclusions);
  CHECK(net::contains(list.networks, endpoint("127.0.0.1:25")));
  CHECK(net::contains(list.networks, endpoint("[::1]:25")));
  CHECK(net::contains(list.networks, endpoint("192.0.2.7:40112")));
  CHECK_FALSE(net::contains(list.networks, endpoint("192.0.2.8:25")));
  CHECK(parse_networks("").networks.empty());
}

TEST_CASE("milters with and without braces") {
  const auto list = parse_milters(
      "inet:127.0.0.1:11332, { unix:segmilter/milter.sock, default_action=accept, "
      "connect_timeout=2s } unix:/run/c.sock");
  REQUIRE(list.size() == 3);
  CHECK(list[0].address == "inet:127.0.0.1:11332");
  CHECK(list[0].options.empty());
  CHECK(list[1].address == "unix:segmilter/milter.sock");
  CHECK(list[1].options.at("default_action") == "accept");
  CHECK(list[1].options.at("connect_timeout") == "2s");
  CHECK(list[1].text ==
        "{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s }");
  CHECK(list[2].address == "unix:/run/c.sock");
  CHECK(parse_milters(" , ").empty());
  // Malformed entries do not name segmilter's socket.
  CHECK(parse_milters("{ unix:a, b=c").front().address == "unix:a");
  CHECK(parse_milters("}").front().address == "}");
}
