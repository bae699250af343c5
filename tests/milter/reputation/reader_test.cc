#include "milter/reputation/reader.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "milter/reputation/learner.h"
#include "tests/support/captured_stderr.h"
#include "tests/support/table_file.h"

using namespace reputation;

namespace {

struct File {
  explicit File(std::string_view text, std::string ending = ".csv")
      : name("/tmp/segmilter-networks-" + std::to_string(getpid()) + ending) {
    std::ofstream(name) << text;
  }
  ~File() { (void)unlink(name.c_str()); }
  std::string name;
};

config::Config with(std::vector<std::string> networks) {
  config::Config config;
  config.reputation.networks = std::move(networks);
  return config;
}

}  // namespace

TEST_CASE("the chain has the system of the network, where a file knows it") {
  const File file("192.0.0.0/16,64500,cellular,RO\n");
  const auto rules = read_rules(with({file.name}));
  TableFile table;
  Counters counters;
  Learner learner(table.writer, counters);
  const auto asn = rules.networks->find(client("192.0.2.1")).asn;
  for (int i = 0; i < 4; ++i) {
    learner.learn(rules.keys.origin(client("192.0.2.1"), {}, asn), {1, 1}, on_day(0), on_day(0));
  }
  const Reader reader(TableView(table.fd.get()), rules, counters);
  const auto standing = reader.look_up(client("192.0.9.9"), "unknown", on_day(0));
  REQUIRE(standing);
  CHECK(standing->network == NetworkFacts{64500, Access::Cellular, "RO"});
  REQUIRE(standing->levels.size() == 1);
  CHECK(standing->levels[0].name == "AS64500");
  CHECK(standing->levels[0].kind == Kind::Asn);
  CHECK(standing->term > 0);
  CHECK(counters.answered == 1);
}

TEST_CASE("levels are named as people name them") {
  const auto rules = read_rules({});
  TableFile table;
  Counters counters;
  Learner learner(table.writer, counters);
  for (const char* address : {"192.0.2.7", "2001:db8:1:2::7"}) {
    learner.learn(rules.keys.origin(client(address), "postfix", {}), {1, 1}, on_day(0), on_day(0));
  }
  const Reader reader(TableView(table.fd.get()), rules, counters);
  const auto names = [&](std::string_view address) {
    std::string all;
    const auto standing = reader.look_up(client(address), "postfix", on_day(0));
    for (const auto& level : standing->levels) all += level.name + " ";
    return all;
  };
  CHECK(names("192.0.2.7") == "192.0.2.0/24 192.0.2.7 postfix ");
  CHECK(names("2001:db8:1:2::9") == "2001:db8:1::/48 2001:db8:1:2::/64 postfix ");
}

TEST_CASE("a reload replaces the limits and the files of networks") {
  TableFile table;
  Counters counters;
  Learner learner(table.writer, counters);
  auto config = with({});
  Reader reader(TableView(table.fd.get()), read_rules(config), counters);
  for (int host = 0; host < 9; ++host) {
    const auto origin =
        read_rules(config).keys.origin(client("192.0.2." + std::to_string(host)), {}, {});
    learner.learn(origin, {1, 1}, on_day(0), on_day(0));
  }
  CHECK(reader.look_up(client("192.0.2.77"), {}, on_day(0))->term > 0.5);
  config.reputation.most = 0.3;
  reader.replace(read_rules(config));
  CHECK(reader.look_up(client("192.0.2.77"), {}, on_day(0))->term == 0.3);
}

TEST_CASE(
    "a file of networks that cannot be used is refused with its place, and left out at a start") {
  const File file("192.0.2.0/24,1\n192.0.2.1/24,2\n");
  CHECK_THROWS_WITH(read_rules(with({file.name})),
                    Catch::StartsWith("reputation.networks: " + file.name + ":2: ") &&
                        Catch::Contains("192.0.2.1/24"));
  CHECK_THROWS_WITH(read_rules(with({"/nowhere/networks.csv"})),
                    Catch::Contains("/nowhere/networks.csv: cannot be read: No such file"));
  const File broken("this is no database", ".mmdb");
  CHECK_THROWS_WITH(read_rules(with({broken.name})), Catch::Contains(broken.name + ": "));
  CHECK(start_rules(with({file.name})).networks == nullptr);
}
