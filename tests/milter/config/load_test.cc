// Configuration files that are accepted, and near misses with the line that is refused.
#include "milter/config/load.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <iterator>

#include "tests/support/config_text.h"

using namespace std::chrono_literals;
using config::Config;
using support::parse;
using support::refusal;

TEST_CASE("an empty file gives the defaults") {
  CHECK(config::print(parse("")) == config::print({}));
}

TEST_CASE("the packaged file gives the defaults, and names every setting") {
  const auto text = config::read_file("packaging/segmilter.toml");
  CHECK(config::print(config::parse(text, "packaging/segmilter.toml")) == config::print({}));
  // `print` omits settings that are not set; the packaged file shows them as comments.
  for (const auto* key :
       {"#listen = ", "#upstream = ", "#[listener.NAME]", "#port = ", "#mode = "}) {
    CHECK(text.find(key) != text.npos);
  }
  std::string printed = config::print({});
  for (std::size_t at = 0, end; (end = printed.find('\n', at)) != printed.npos; at = end + 1) {
    const auto line = printed.substr(at, end - at);
    const auto key = line.substr(0, line.find(" = "));
    INFO(key);
    CHECK(text.find("\n" + key) != text.npos);
  }
}

TEST_CASE("parse reads what print wrote") {
  const auto config = parse(R"(
    [general]
    hostname = "mx1.example.org"
    [proxy]
    listen = ["192.0.2.1:25", "[2001:db8::1]:25"]
    upstream = "127.0.0.1:10025"
    upstream_protocol = "proxy-v1"
    buffer_bytes = 5000
    idle_timeout = "90s"
    [filter]
    evidence_timeout = "1500ms"
    socket_mode = "0600"
    [exempt]
    networks = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]
    [reply]
    reject = "5.7.1 a \"quoted\" \\ word"
    [policy]
    reject = "off"
    tempfail = -1
    percent_key = "our\"mx\""
    on_error = "tempfail"
    [breaker]
    jump = "off"
    hold = "90s"
    [listener.strict]
    mode = "enforce"
    [listener."mx1.example.org"]
    reject = 20
    port = 2525
    [weights]
    mobile = 0.25
  )");
  CHECK(config::print(config::parse(config::print(config), "printed")) == config::print(config));
}

TEST_CASE("every kind of value is read") {
  const auto config = parse(R"(
    [general]
    hostname = "mx1.example.org"
    [log]
    target = "syslog"
    format = "json"
    level = "debug"
    [proxy]
    listen = ["192.0.2.1:25", "[2001:db8::1]:25"]
    upstream = "127.0.0.1:10025"
    upstream_protocol = "proxy-v1"
    balancers = ["10.0.0.0/28", "2001:db8::10"]
    balancer_transparent = true
    balancer_timeout = "2s"
    workers = 2
    idle_timeout = "5m"
    drain_timeout = "0s"
    drain_answer_timeout = "2m"
    [capture]
    method = "read"
    ring_bytes = "64K"
    [wire]
    interface = "eth0"
    max_sessions = 7
    [evidence]
    socket_mode = "0600"
    [filter]
    socket = "inet6:8891@::1"
    evidence_timeout = "50ms"
    [exempt]
    authenticated = false
    networks = ["192.0.2.0/24", "2001:db8::7"]
    [policy]
    mode = "enforce"
    tempfail = "off"
    quarantine = inf
    reject = 7
    [weights]
    bot-template = 5
    quit-with-dot = -0.5
  )");
  CHECK(config.general.hostname == "mx1.example.org");
  CHECK(config.log.target == config::Log::Target::Syslog);
  CHECK(config.log.format == config::Log::Format::Json);
  CHECK(config.log.level == "debug");
  REQUIRE(config.proxy.listen.size() == 2);
  CHECK(config.proxy.listen[1].print() == "[2001:db8::1]:25");
  REQUIRE(config.proxy.upstream);
  CHECK(config.proxy.upstream->print() == "127.0.0.1:10025");
  CHECK(config.proxy.upstream_protocol == config::Proxy::Protocol::ProxyV1);
  REQUIRE(config.proxy.balancers.size() == 2);
  CHECK(config.proxy.balancers[0].print() == "10.0.0.0/28");
  CHECK(config.proxy.balancer_transparent);
  CHECK(config.proxy.balancer_timeout == 2s);
  CHECK(config.proxy.workers == 2);
  CHECK(config.proxy.idle_timeout == 300s);
  CHECK(config.proxy.drain_timeout == 0s);
  CHECK(config.proxy.drain_answer_timeout == 120s);
  CHECK(config.proxy.longest_drain() == 120s);
  CHECK(config.capture.method == config::Capture::Method::Read);
  CHECK(config.capture.ring_bytes == 65536);
  CHECK(config.wire.interface == "eth0");
  CHECK(config.wire.max_sessions == 7);
  CHECK(config.evidence.socket_mode == 0600);
  CHECK(config.filter.socket.print() == "inet6:8891@::1");
  CHECK(config.filter.evidence_timeout == 50ms);
  CHECK_FALSE(config.exempt.authenticated);
  CHECK(config.exempt.networks.size() == 2);
  CHECK(config.enforcement.mode == config::Enforcement::Mode::Enforce);
  CHECK(std::isinf(config.policy.tempfail));
  CHECK(std::isinf(config.policy.quarantine));
  CHECK(config.policy.reject == 7);
  const auto& weights = config.policy.weights;
  CHECK(weights.pattern[static_cast<int>(classifier::Pattern::BotTemplate)] == 5);
  CHECK(weights.quit_with_dot == -0.5);
  CHECK(weights.early_talker == classifier::Weights().early_talker);
}

// clang-format off
TEST_CASE("a refused value is reported with file, line, key and reason") {
  struct Row {
    const char* label;
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"not TOML", "[proxy\n", "test.toml:1: not TOML: "},
      {"a key twice", "[log]\nlevel = \"info\"\nlevel = \"info\"\n", "test.toml:3: not TOML: "},
      {"unknown section", "\n[proxi]\n", "test.toml:2: proxi: unknown section; did you mean proxy?"},
      {"unknown section, nothing near", "[desk_of_mine]\n", "test.toml:1: desk_of_mine: unknown section"},
      {"unknown key", "[proxy]\nmax_session = 3\n", "test.toml:2: proxy.max_session: unknown setting; did you mean max_sessions?"},
      {"key outside of a section", "listen = 1\n", "test.toml:1: listen: unknown section"},
      {"a section that is a value", "proxy = 1\n", "test.toml:1: proxy: this has to be a section: [proxy]"},
      {"a section that is a list", "[[proxy]]\n", "test.toml:1: proxy: this has to be a section: [proxy]"},
      {"string for integer", "[proxy]\nworkers = \"2\"\n", "test.toml:2: proxy.workers: expected an integer, got a string"},
      {"fraction for integer", "[proxy]\nworkers = 1.0\n", "test.toml:2: proxy.workers: expected an integer, got a number with a fraction"},
      {"integer for string", "[log]\nlevel = 3\n", "test.toml:2: log.level: expected one of \"error\", \"warning\", \"info\", \"debug\", got an integer"},
      {"string for flag", "[exempt]\nloopback = \"true\"\n", "test.toml:2: exempt.loopback: expected true or false without quotes, got a string"},
      {"below the range", "[proxy]\nworkers = -1\n", "test.toml:2: proxy.workers: -1 is out of range: from 0 to 64"},
      {"above the range", "[proxy]\nworkers = 65\n", "test.toml:2: proxy.workers: 65 is out of range: from 0 to 64"},
      {"far above the range", "[proxy]\nmax_sessions = 9223372036854775807\n", "test.toml:2: proxy.max_sessions: 9223372036854775807 is out of range: from 1 to 1000000"},
      {"no such choice", "[capture]\nmethod = \"ebpf\"\n", "test.toml:2: capture.method: \"ebpf\" is not one of \"auto\", \"kernel\", \"read\", \"off\""},
      {"duration without unit", "[proxy]\nidle_timeout = 330\n", "test.toml:2: proxy.idle_timeout: a duration needs its unit: 330 could be seconds or milliseconds; write \"330s\" or \"330ms\""},
      {"duration in days", "[proxy]\nidle_timeout = \"1d\"\n", "test.toml:2: proxy.idle_timeout: \"1d\" is not a duration such as \"200ms\", \"10s\", \"5m\" or \"1h\""},
      {"negative duration", "[proxy]\nidle_timeout = \"-1s\"\n", "test.toml:2: proxy.idle_timeout: \"-1s\" is not a duration such as \"200ms\", \"10s\", \"5m\" or \"1h\""},
      {"empty duration", "[proxy]\nidle_timeout = \"\"\n", "test.toml:2: proxy.idle_timeout: \"\" is not a duration such as \"200ms\", \"10s\", \"5m\" or \"1h\""},
      {"duration that overflows", "[proxy]\nidle_timeout = \"9223372036854775807h\"\n", "test.toml:2: proxy.idle_timeout: \"9223372036854775807h\" is not a duration such as \"200ms\", \"10s\", \"5m\" or \"1h\""},
      {"part of a second", "[proxy]\nidle_timeout = \"1500ms\"\n", "test.toml:2: proxy.idle_timeout: expected whole seconds, got \"1500ms\""},
      {"too long", "[filter]\nevidence_timeout = \"1m\"\n", "test.toml:2: filter.evidence_timeout: \"1m\" is out of range: from 1ms to 10s"},
      {"size not a power of two", "[capture]\nring_bytes = 5000\n", "test.toml:2: capture.ring_bytes: 5000 is not a power of two"},
      {"size too small", "[capture]\nring_bytes = 2048\n", "test.toml:2: capture.ring_bytes: 2048 is out of range: from 4K to 1G bytes"},
      {"size with a foreign unit", "[proxy]\nbuffer_bytes = \"64KB\"\n", "test.toml:2: proxy.buffer_bytes: expected bytes as an integer or a string such as \"64K\" or \"1M\", got \"64KB\""},
      {"mode as integer", "[filter]\nsocket_mode = 660\n", "test.toml:2: filter.socket_mode: expected an octal mode in quotes such as \"0660\", got an integer"},
      {"mode not octal", "[filter]\nsocket_mode = \"0680\"\n", "test.toml:2: filter.socket_mode: \"0680\" is not an octal mode from \"0000\" to \"0777\""},
      {"listen not a list", "[proxy]\nlisten = \"0.0.0.0:25\"\n", "test.toml:2: proxy.listen: expected an array such as [\"192.0.2.1:25\", \"[2001:db8::1]:25\"], got a string"},
      {"listen without port", "[proxy]\nlisten = [\"0.0.0.0\"]\n", "test.toml:2: proxy.listen: \"0.0.0.0\" is not an address with a port, such as \"192.0.2.1:25\" or \"[2001:db8::1]:25\""},
      {"listen by name", "[proxy]\nlisten = [\"localhost:25\"]\n", "test.toml:2: proxy.listen: \"localhost:25\" is not an address with a port, such as \"192.0.2.1:25\" or \"[2001:db8::1]:25\""},
      {"listen on port 0", "[proxy]\nlisten = [\"127.0.0.1:0\"]\n", "test.toml:2: proxy.listen: \"127.0.0.1:0\": the port has to be from 1 to 65535"},
      {"ports not a list", "[wire]\nports = 25\n", "test.toml:2: wire.ports: expected an array such as [25, 465], got an integer"},
      {"port 0", "[wire]\nports = [0]\n", "test.toml:2: wire.ports: 0 is out of range: from 1 to 65535"},
      {"port twice", "[wire]\nports = [25, 25]\n", "test.toml:2: wire.ports: 25 occurs twice"},
      {"too many ports", "[wire]\nports = [1, 2, 3, 4, 5, 6, 7, 8, 9]\n", "test.toml:2: wire.ports: the list has more than 8 ports"},
      {"no interface", "[wire]\ninterface = \"eth0/1\"\n", "test.toml:2: wire.interface: \"eth0/1\" is not the name of a network interface"},
      {"tproxy port out of range", "[proxy]\ntproxy_ports = [70000]\n", "test.toml:2: proxy.tproxy_ports: 70000 is out of range: from 1 to 65535"},
      {"tproxy to nowhere", "[proxy]\ntproxy_ports = [25]\n", "test.toml:2: proxy.tproxy_ports: proxy.listen is not set: name the address to which the firewall sends these ports, such as listen = [\"127.0.0.1:10024\", \"[::1]:10024\"]"},
      {"tproxy to the port that Postfix keeps", "[proxy]\ntproxy_ports = [25]\nupstream = \"127.0.0.1:10025\"\nlisten = [\"127.0.0.1:25\"]\n", "test.toml:4: proxy.listen: \"127.0.0.1:25\" has a port of proxy.tproxy_ports, on which Postfix listens; use another port, such as \"127.0.0.1:10024\""},
      {"tproxy to two", "[proxy]\ntproxy_ports = [25]\nupstream = \"127.0.0.1:10025\"\nlisten = [\"127.0.0.1:10024\", \"127.0.0.2:10024\"]\n", "test.toml:4: proxy.listen: \"127.0.0.2:10024\": with proxy.tproxy_ports only one IPv4 and one IPv6 address are permitted"},
      {"listen twice", "[proxy]\nlisten = [\"127.0.0.1:25\", \"127.0.0.1:25\"]\n", "test.toml:2: proxy.listen: \"127.0.0.1:25\" occurs twice"},
      {"network with host bits", "[exempt]\nnetworks = [\"192.0.2.1/24\"]\n", "test.toml:2: exempt.networks: \"192.0.2.1/24\" is not an address or a network such as \"192.0.2.0/24\" or \"2001:db8::/32\" (no bits may be set after the prefix)"},
      {"socket path not absolute", "[evidence]\nsocket = \"evidence.sock\"\n", "test.toml:2: evidence.socket: \"evidence.sock\" is not the absolute path of a socket"},
      {"milter socket in Postfix's spelling", "[filter]\nsocket = \"inet:127.0.0.1:8891\"\n", "test.toml:2: filter.socket: libmilter does not accept \"inet:127.0.0.1:8891\"; write \"inet:8891@127.0.0.1\""},
      {"the same with IPv6", "[filter]\nsocket = \"inet:[::1]:8891\"\n", "test.toml:2: filter.socket: libmilter does not accept \"inet:[::1]:8891\"; write \"inet6:8891@::1\""},
      {"milter socket as a bare path", "[filter]\nsocket = \"/run/milter.sock\"\n", "test.toml:2: filter.socket: libmilter does not accept \"/run/milter.sock\"; write \"unix:/run/milter.sock\""},
      {"milter socket on all addresses", "[filter]\nsocket = \"inet:8891\"\n", "test.toml:2: filter.socket: without @ADDRESS the filter would listen on every address of this machine; name one, such as inet:8891@127.0.0.1"},
      {"milter socket without a port", "[filter]\nsocket = \"inet:@127.0.0.1\"\n", "test.toml:2: filter.socket: \"\" is not a port from 1 to 65535"},
      {"hostname that ends the header's word", "[general]\nhostname = \"mx1; pattern=x\"\n", "test.toml:2: general.hostname: \"mx1; pattern=x\" is not a host name: letters, digits, '.', '-' and '_' only"},
      {"no user", "[general]\nuser = \"\"\n", "test.toml:2: general.user: the name must not be empty"},
      {"reply with the wrong class", "[reply]\nreject = \"4.7.1 No\"\n", "test.toml:2: reply.reject: \"4.7.1 No\" must begin with an enhanced status code 5.x.y and a space, then a text"},
      {"reply without a text", "[reply]\nreject = \"5.7.1 \"\n", "test.toml:2: reply.reject: \"5.7.1 \" must begin with an enhanced status code 5.x.y and a space, then a text"},
      {"reply of two lines", "[reply]\nreject = \"5.7.1 a\\r\\nb\"\n", "test.toml:2: reply.reject: the text may have only printable ASCII characters, on one line"},
      {"a line break in a message", "[log]\nlevel = \"a\\nb\"\n", "test.toml:2: log.level: \"a?b\" is not one of \"error\", \"warning\", \"info\", \"debug\""},
      {"threshold that is no number", "[policy]\nreject = \"never\"\n", "test.toml:2: policy.reject: expected a number or \"off\", got \"never\""},
      {"threshold nan", "[policy]\nreject = nan\n", "test.toml:2: policy.reject: nan is out of range: from -1000 to 1000"},
      {"confidence above one", "[policy]\nmin_confidence = 50\n", "test.toml:2: policy.min_confidence: 50 is out of range: from 0 to 1"},
      {"percent above 100", "[policy]\nreject_percent = 101\n", "test.toml:2: policy.reject_percent: 101 is out of range: from 0 to 100"},
      {"a fallback that would lose mail", "[policy]\non_error = \"reject\"\n", "test.toml:2: policy.on_error: \"reject\" is not one of \"none\", \"tempfail\""},
      {"a share in percent", "[breaker]\nmax_share = 50\n", "test.toml:2: breaker.max_share: 50 is out of range: from 0 to 1"},
      {"keyed addresses without a key", "[memory]\naddresses = \"keyed\"\n", "test.toml:2: memory.addresses: memory.key_file is not set: there is no key for \"keyed\""},
      {"no folder", "[memory]\nfolder = \"\"\n", "test.toml:2: memory.folder: the path is empty; write the absolute path of a folder"},
      {"a folder without a root", "[memory]\nfolder = \"store\"\n", "test.toml:2: memory.folder: \"store\" is not an absolute path"},
      {"a day too few", "[memory]\nmax_days = 0\n", "test.toml:2: memory.max_days: 0 is out of range: from 1 to 3650"},
      {"a jump down", "[breaker]\njump = 0.5\n", "test.toml:2: breaker.jump: 0.5 is out of range: from 1 to 1000"},
      {"a suffix with a star", "[exempt]\nptr_suffixes = [\"*.example.org\"]\n", "test.toml:2: exempt.ptr_suffixes: \"*.example.org\" is not the end of a host name, such as \".example.org\""},
      {"a suffix of dots", "[exempt]\nhelo_suffixes = [\".\"]\n", "test.toml:2: exempt.helo_suffixes: \".\" is not the end of a host name, such as \".example.org\""},
      {"a suffix twice", "[exempt]\nptr_suffixes = [\"a.example\", \"a.example\"]\n", "test.toml:2: exempt.ptr_suffixes: \"a.example\" occurs twice"},
      {"a listener without a name", "[listener]\nmode = \"enforce\"\n", "test.toml:2: listener.mode: this has to be a section: [listener.mode]"},
      {"listeners as a list", "[[listener]]\nmode = \"enforce\"\n", "test.toml:1: listener: this has to be a section for each listener: [listener.NAME]"},
      {"a listener's name of two words", "[listener.\"a b\"]\n", "test.toml:1: listener.a b: this is not the name of a listener: letters, digits, '.', '-' and '_' only"},
      {"a listener's unknown setting", "[listener.a]\nmod = 1\n", "test.toml:2: listener.a.mod: unknown setting; did you mean mode?"},
      {"a listener's value", "[listener.a]\nreject = 2000\n", "test.toml:2: listener.a.reject: 2000 is out of range: from -1000 to 1000"},
      {"weight of no pattern", "[weights]\nbot_template = 1.0\n", "test.toml:2: weights.bot_template: unknown setting; did you mean bot-template?"},
      {"a TOML line far down", "[log]\n\n\n# c\nlevel = \"loud\"\n", "test.toml:5: log.level: \"loud\" is not one of \"error\", \"warning\", \"info\", \"debug\""},
  };
  for (const auto& row : rows) {
    INFO(row.label);
    const std::string expected = row.message;
    // The text after "not TOML: " comes from toml++.
    if (expected.ends_with(": ")) CHECK(refusal(row.text).substr(0, expected.size()) == expected);
    else CHECK(refusal(row.text) == expected);
  }
}

TEST_CASE("the first refused line of a section is reported") {
  CHECK(refusal("[proxy]\nworkers = 99\nlisten = 3\n") ==
        "test.toml:2: proxy.workers: 99 is out of range: from 0 to 64");
}

TEST_CASE("a listener takes the values of [policy] that its section does not set") {
  const auto config = parse(R"(
    [listener.strict]
    mode = "enforce"
    reject = 9
    [policy]
    tempfail = 3
    [weights]
    mobile = 0.25
    [listener.second]
    port = 26
  )");
  REQUIRE(config.listeners.size() == 2);
  const auto& strict = config.listeners[0].policy;
  CHECK(config.listeners[0].name == "strict");
  CHECK(config.listeners[0].enforcement.mode == config::Enforcement::Mode::Enforce);
  CHECK(strict.reject == 9);
  CHECK(strict.tempfail == 3);  // also from a section that comes later
  CHECK(strict.weights.pattern[static_cast<int>(classifier::Pattern::Mobile)] == 0.25);
  CHECK(config.listeners[1].port == 26);
  CHECK(config.listeners[1].enforcement.mode == config::Enforcement::Mode::Monitor);
}

TEST_CASE("keys are read only by a process that needs them") {
  const std::string text = "[seal]\nkey_file = \"/nonexistent\"\nsign = true\n";
  CHECK(parse(text).seal.sign);
  CHECK(parse(text).seal.keys.empty());
  CHECK(refusal(text) ==
        "test.toml:2: seal.key_file: /nonexistent: cannot be read: No such file or directory");
}

TEST_CASE("there are at most 32 listeners") {
  std::string text;
  for (int i = 0; i < 32; ++i) text += "[listener.n" + std::to_string(i) + "]\n";
  CHECK(refusal(text) == "taken");
  CHECK(refusal(text + "[listener.more]\n") ==
        "test.toml:33: listener.more: there are more than 32 listeners");
}

TEST_CASE("a text longer than a control message is refused") {
  const std::string at_limit = "#" + std::string(config::kMaxText - 1, 'x');
  CHECK(refusal(at_limit) == "taken");
  CHECK(refusal(at_limit + "x") == "test.toml: the configuration has 122881 bytes, and at most 122880 are permitted");
}

TEST_CASE("a file that cannot be read is reported with the reason") {
  CHECK_THROWS_WITH(config::read_file("/nonexistent/x.toml"),
                    "/nonexistent/x.toml: cannot be read: No such file or directory");
  CHECK_THROWS_WITH(config::read_file("/"), "/: cannot be read: Is a directory");
  CHECK_THROWS_WITH(config::read_file("/dev/zero"),
                    "/dev/zero: the file has more than 122880 bytes, which is the limit of a configuration");
}

TEST_CASE("a reload changes everything except settings that need a restart") {
  const auto running = parse("[proxy]\nworkers = 1\nmax_sessions = 5\n");
  const auto loaded = parse("[proxy]\nworkers = 2\nmax_sessions = 6\n[policy]\nreject = 20\n");
  CHECK(config::needs_restart(running, loaded) == std::vector<std::string>{"proxy.workers"});
  const auto merged = config::reloaded(running, loaded);
  CHECK(merged.proxy.workers == 1);
  CHECK(merged.proxy.max_sessions == 6);
  CHECK(merged.policy.reject == 20);
  CHECK(config::needs_restart(running, running).empty());
}
