#include "milter/memory/database.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

using memory::Database;

TEST_CASE("what is read in a snapshot is of one moment") {
  char folder[] = "/tmp/segmilter-database-XXXXXX";
  const auto file = std::string(mkdtemp(folder)) + "/some.db";
  {
    Database writer(file, Database::Mode::Write);
    writer.execute(
        "PRAGMA journal_mode = WAL; CREATE TABLE some (id); INSERT INTO some VALUES (1)");
    Database reader(file, Database::Mode::Read);
    const auto count = [&reader] {
      auto rows = reader.prepare("SELECT count(*) FROM some");
      REQUIRE(rows.step());
      return rows.integer(0);
    };
    {
      const memory::Snapshot snapshot(reader);
      CHECK(count() == 1);
      writer.execute("INSERT INTO some VALUES (2)");
      CHECK(count() == 1);
      CHECK_FALSE(writer.checkpoint());
    }
    CHECK(count() == 2);
    CHECK(writer.checkpoint());
  }
  std::filesystem::remove_all(folder);
}
