// Tests the format of the metrics page. supervisor/counts_test tests which counters are on it.
#include "milter/desk/metrics.h"

#include <catch2/catch.hpp>
#include <string>

using process::Count;

namespace {

// The page without its first family, the version.
std::string page(const process::Families& families) {
  const std::string nothing = desk::metrics({});
  const std::string all = desk::metrics(families);
  REQUIRE(all.starts_with(nothing));
  return all.substr(nothing.size());
}

}  // namespace

TEST_CASE("the page begins with the version") {
  CHECK(desk::metrics({}) ==
        "# HELP segmilter_build_info The version that runs.\n"
        "# TYPE segmilter_build_info gauge\n"
        "segmilter_build_info{version=\"" SEGMILTER_VERSION "\"} 1\n");
}

TEST_CASE("a number that only grows is a counter, any other a gauge") {
  const Count grows{7};
  const Count now{3};
  CHECK(page({process::family("clients_total", grows, "Clients in all."),
              process::family("clients", now, "Clients at the moment.")}) ==
        "# HELP segmilter_clients_total Clients in all.\n"
        "# TYPE segmilter_clients_total counter\n"
        "segmilter_clients_total 7\n"
        "# HELP segmilter_clients Clients at the moment.\n"
        "# TYPE segmilter_clients gauge\n"
        "segmilter_clients 3\n");
}

TEST_CASE("samples of a family are distinguished by its label") {
  const Count done{1};
  const Count refused{~std::uint64_t{0}};
  CHECK(page({{"reloads_total", "Reloads.", "result", {{&done, "done"}, {&refused, "refused"}}}}) ==
        "# HELP segmilter_reloads_total Reloads.\n"
        "# TYPE segmilter_reloads_total counter\n"
        "segmilter_reloads_total{result=\"done\"} 1\n"
        "segmilter_reloads_total{result=\"refused\"} 18446744073709551615\n");
}

TEST_CASE("the page has the numbers at the time of the request") {
  Count count{1};
  const process::Families families{process::family("clients_total", count, "Clients.")};
  CHECK(page(families).ends_with("segmilter_clients_total 1\n"));
  count = 2;
  CHECK(page(families).ends_with("segmilter_clients_total 2\n"));
}
