#include "milter/reputation/table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "milter/net/keyed_hash.h"
#include "tests/support/table_file.h"

using namespace reputation;

namespace {

// With a sanitizer each takes ten times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kFlood = 1'500'000;
#else
constexpr std::uint64_t kFlood = 10'000'000;
#endif

Entry entry_of(std::uint64_t value, float total, Time last = on_day(0)) {
  return {.key = {Kind::Address, true, value}, .first = last, .last = last, .total = total};
}

std::optional<Entry> find(const TableView& view, std::uint64_t value) {
  std::optional<Entry> entry;
  REQUIRE(view.find({Kind::Address, true, value}, entry));
  return entry;
}

}  // namespace

TEST_CASE("what is put is found, by a reader too, and only under its key") {
  TableFile table;
  CHECK(table.writer.put(entry_of(7, 1), on_day(0)));
  CHECK(find(table.view, 7)->total == 1);
  CHECK_FALSE(find(table.view, 8));
  std::optional<Entry> other;
  CHECK(table.view.find({Kind::Network, true, 7}, other));
  CHECK_FALSE(other);
  CHECK(table.view.find({Kind::Address, false, 7}, other));
  CHECK_FALSE(other);
  CHECK(table.writer.put(entry_of(7, 2), on_day(0)));
  CHECK(find(table.view, 7)->total == 2);
  CHECK(table.writer.entries() == 1);
}

TEST_CASE("the table takes at most 64 MB for a million entries") {
  STATIC_REQUIRE(sizeof(TableMemory) <= 64 * 1024 * 1024);
  STATIC_REQUIRE(TableMemory::kEntries >= 1'000'000);
}

TEST_CASE("ten million new addresses do not push out those that are known") {
  TableFile table;
  constexpr std::uint64_t kKnown = 100'000;
  std::size_t kept = 0;
  for (std::uint64_t i = 0; i < kKnown; ++i) kept += table.writer.put(entry_of(i, 2), on_day(0));
  // A bucket may have more than eight of the known ones; that is no fault of the flood.
  CHECK(kept >= kKnown - 10);
  std::size_t there = 0;
  for (std::uint64_t i = 0; i < kFlood; ++i) {
    (void)table.writer.put(entry_of(1ULL << 40 | i, 0.25F), on_day(0));
  }
  for (std::uint64_t i = 0; i < kKnown; ++i) there += find(table.view, i) ? 1 : 0;
  CHECK(there == kept);
  CHECK(table.writer.entries() <= TableMemory::kEntries);
  CHECK(table.writer.refused() > kFlood / 3);
}

TEST_CASE("an entry that has faded makes room for a new one") {
  TableFile table;
  for (std::uint64_t i = 0; i < 4'000'000; ++i) (void)table.writer.put(entry_of(i, 2), on_day(0));
  const auto before = table.writer.entries();
  const auto late = on_day(60);
  CHECK(table.writer.put(entry_of(1ULL << 50, 0.25F, late), late));
  CHECK(find(table.view, 1ULL << 50));
  CHECK(table.writer.entries() == before);
}

TEST_CASE("a writer that died in a bucket leaves no answer there, and the next one empties it") {
  TableFile table;
  (void)table.writer.put(entry_of(7, 1), on_day(0));
  auto* memory = static_cast<TableMemory*>(
      mmap(nullptr, sizeof(TableMemory), PROT_READ | PROT_WRITE, MAP_SHARED, table.fd.get(), 0));
  REQUIRE(memory != MAP_FAILED);
  for (auto& bucket : memory->buckets) bucket.sequence |= 1;
  std::optional<Entry> entry;
  CHECK_FALSE(table.view.find({Kind::Address, true, 7}, entry));
  const TableWriter next(table.fd.get());
  CHECK(next.entries() == 0);
  CHECK(table.view.find({Kind::Address, true, 7}, entry));
  CHECK_FALSE(entry);
  (void)munmap(memory, sizeof *memory);
}

TEST_CASE("a writer that is killed at any moment leaves a table that the next one goes on with") {
  TableFile table;
  for (int round = 0; round < 20; ++round) {
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      TableWriter writer(table.fd.get());
      for (std::uint64_t i = 0;; ++i) (void)writer.put(entry_of(i % 5000, 1), on_day(0));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + round));
    kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, nullptr, 0) == pid);
    TableWriter next(table.fd.get());
    for (std::uint64_t i = 0; i < 5000; ++i) {
      std::optional<Entry> entry;
      REQUIRE(table.view.find({Kind::Address, true, i}, entry));
      if (entry) REQUIRE(entry->total == 1);
    }
  }
}

TEST_CASE("a reader sees whole entries while a writer writes") {
  TableFile table;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (std::uint16_t i = 0; !stop; ++i) {
      auto entry = entry_of(7, i);
      entry.given = i;
      (void)table.writer.put(entry, on_day(0));
    }
  });
  unsigned answers = 0;
  while (answers < 100'000) {
    std::optional<Entry> entry;
    if (!table.view.find({Kind::Address, true, 7}, entry)) continue;
    ++answers;
    if (entry && entry->total != entry->given) break;
  }
  stop = true;
  writer.join();
  CHECK(answers == 100'000);
}

TEST_CASE("a young table takes little memory, also when all of its entries are visited") {
  TableFile table;
  for (std::uint64_t i = 0; i < 100; ++i) (void)table.writer.put(entry_of(i, 1), on_day(0));
  TableWriter next(table.fd.get());
  CHECK(next.entries() == 100);
  std::size_t seen = 0;
  next.for_each(0, TableMemory::kBuckets, [&seen](const Entry&) { ++seen; });
  CHECK(seen == 100);
  CHECK(next.remove_if([](const Entry& entry) { return entry.key.value < 30; }) == 30);
  struct stat about {};
  REQUIRE(fstat(table.fd.get(), &about) == 0);
  CHECK(about.st_blocks * 512 < 20 * 1024 * 1024);  // the kernel gives 64 KB at a time
}

TEST_CASE("entries are removed by what they are, and by another writer's keys") {
  TableFile table;
  for (std::uint64_t i = 0; i < 100; ++i) (void)table.writer.put(entry_of(i, 1), on_day(0));
  CHECK(table.writer.remove_if([](const Entry& entry) { return entry.key.value < 30; }) == 30);
  CHECK(table.writer.entries() == 70);
  table.writer.set_filled();
  table.writer.use_keys(0);
  CHECK(table.writer.entries() == 70);
  CHECK(table.view.has_keys(0));
  table.writer.use_keys(5);
  CHECK(table.writer.entries() == 0);
  CHECK_FALSE(table.writer.is_filled());
  CHECK_FALSE(table.view.has_keys(0));
}

TEST_CASE("only a table of this program is accepted") {
  CHECK(is_table(make_table().get()));
  CHECK_FALSE(is_table(-1));
  const net::Fd null(open("/dev/null", O_RDWR));
  CHECK_FALSE(is_table(null.get()));
  const net::Fd unsealed(memfd_create("other", MFD_ALLOW_SEALING));
  REQUIRE(ftruncate(unsealed.get(), sizeof(TableMemory)) == 0);
  CHECK_FALSE(is_table(unsealed.get()));
  CHECK_THROWS_AS(TableView(unsealed.get()), std::runtime_error);
}
