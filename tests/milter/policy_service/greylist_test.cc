// Tests milter/policy_service/greylist with a clock that only the test moves.
#include "milter/policy_service/greylist.h"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using policy_service::Greylist;

namespace {

struct Bed {
  Greylist list;
  config::PolicyService settings{.socket = {},
                                 .greylist_after = 5min,
                                 .greylist_until = 24h,
                                 .greylist_keep = 240h,
                                 .rules = {}};
  Greylist::Clock::time_point now{1000h};

  bool defers(const char* client = "192.0.2.7:1", const char* sender = "a@b.example",
              const char* recipient = "alice@example.org") {
    return list.defers(*net::Endpoint::parse(client), sender, recipient, settings, now);
  }
};

}  // namespace

TEST_CASE("a sender that comes again in time passes, and passes from then on") {
  Bed bed;
  CHECK(bed.defers());
  bed.now += 4min;
  CHECK(bed.defers());
  bed.now += 1min;
  CHECK_FALSE(bed.defers());
  bed.now += 1s;
  CHECK_FALSE(bed.defers());
  bed.now += 239h;
  CHECK_FALSE(bed.defers());
  bed.now += 241h;
  CHECK(bed.defers());
}

TEST_CASE("a sender that comes too late begins again") {
  Bed bed;
  CHECK(bed.defers());
  bed.now += 25h;
  CHECK(bed.defers());
  bed.now += 5min;
  CHECK_FALSE(bed.defers());
}

TEST_CASE("another network, sender or recipient is another attempt") {
  Bed bed;
  CHECK(bed.defers());
  bed.now += 10min;
  CHECK(bed.defers("192.0.3.7:1"));
  CHECK(bed.defers("192.0.2.7:1", "c@b.example"));
  CHECK(bed.defers("192.0.2.7:1", "a@b.example", "bob@example.org"));
  CHECK(bed.defers("192.0.2.7:1", "a@b.examplealice", "@example.org"));
  CHECK_FALSE(bed.defers("192.0.2.200:9", "A@B.example", "Alice@Example.org"));
}

TEST_CASE("new senders cannot push out those that have passed, and the memory is bounded") {
  Bed bed;
  CHECK(bed.defers());
  bed.now += 5min;
  CHECK_FALSE(bed.defers());
  for (std::size_t i = 0; i < Greylist::kMost + 10; ++i) {
    bed.defers("198.51.100.1:1", ("s" + std::to_string(i)).c_str());
  }
  CHECK(bed.list.waiting() == Greylist::kMost);
  CHECK(bed.list.passed() == 1);
  CHECK_FALSE(bed.defers());
  bed.now += 5min;
  CHECK(bed.defers("198.51.100.1:1", "s0"));  // it has made room
  CHECK_FALSE(bed.defers("198.51.100.1:1", "s5000"));
}
