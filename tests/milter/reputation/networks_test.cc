// Databases of MaxMind's format are made by libmaxmind-db-writer-perl, which shares no code with
// the reader.
#include "milter/reputation/networks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "tests/support/table_file.h"

using namespace reputation;

namespace {

struct Folder {
  Folder() { REQUIRE(mkdtemp(name) != nullptr); }
  ~Folder() { (void)!std::system(("rm -r " + std::string(name)).c_str()); }
  std::string file(std::string_view file_name) const {
    return name + ("/" + std::string(file_name));
  }
  char name[40] = "/tmp/segmilter-mmdb-XXXXXX";
};

void make(const std::string& file, std::string_view types, std::string_view rows) {
  const auto script = file + ".pl";
  std::ofstream(script)
      << "use MaxMind::DB::Writer::Tree;\nmy %types = (" << types
      << ");\nmy $tree = MaxMind::DB::Writer::Tree->new(ip_version => 6, record_size => 24, "
         "database_type => 'Test', languages => ['en'], description => {en => 'test'}, "
         "alias_ipv6_to_ipv4 => 1, remove_reserved_networks => 0, "
         "map_key_type_callback => sub { $types{$_[0]} });\n"
      << rows << "\nopen my $out, '>:raw', '" << file << "' or die;\n$tree->write_tree($out);\n";
  REQUIRE(std::system(("perl " + script).c_str()) == 0);
}

}  // namespace

TEST_CASE("a database tells the system, the country and the kind of access of IPv4 and IPv6") {
  const Folder folder;
  const auto asn = folder.file("asn.mmdb");
  const auto city = folder.file("city.mmdb");
  make(asn, "autonomous_system_number => 'uint32', autonomous_system_organization => 'utf8_string'",
       "$tree->insert_network('192.0.2.0/24', {autonomous_system_number => 64500, "
       "autonomous_system_organization => 'Example'});\n"
       "$tree->insert_network('2001:db8::/32', {autonomous_system_number => 64501});");
  make(city,
       "country => 'map', iso_code => 'utf8_string', traits => 'map', connection_type => "
       "'utf8_string'",
       "$tree->insert_network('192.0.0.0/16', {country => {iso_code => 'RO'}, traits => "
       "{connection_type => 'Cellular'}});\n"
       "$tree->insert_network('2001:db8::/32', {connection_type => 'Cable/DSL'});");
  const auto networks = Networks::read({asn, city});
  CHECK(networks->find(client("192.0.2.7")) == NetworkFacts{64500, Access::Cellular, "RO"});
  CHECK(networks->find(client("192.0.3.7")) == NetworkFacts{{}, Access::Cellular, "RO"});
  CHECK(networks->find(client("2001:db8::7")) == NetworkFacts{64501, Access::Cable, ""});
  CHECK(networks->find(client("203.0.113.1")) == NetworkFacts{});
}

TEST_CASE("a database with other types than are expected knows nothing") {
  const Folder folder;
  const auto file = folder.file("odd.mmdb");
  make(file,
       "autonomous_system_number => 'utf8_string', country => 'utf8_string', connection_type => "
       "'uint32'",
       "$tree->insert_network('192.0.2.0/24', {autonomous_system_number => 'AS1', country => 'RO', "
       "connection_type => 7});");
  CHECK(Networks::read({file})->find(client("192.0.2.7")) == NetworkFacts{});
}

TEST_CASE("a database that is cut or overwritten later stays in use as it was read") {
  const Folder folder;
  const auto file = folder.file("asn.mmdb");
  make(file, "autonomous_system_number => 'uint32'",
       "$tree->insert_network('192.0.2.0/24', {autonomous_system_number => 64500});");
  const auto networks = Networks::read({file});
  REQUIRE(truncate(file.c_str(), 0) == 0);
  CHECK(networks->find(client("192.0.2.7")).asn == 64500);
  std::ofstream(file) << std::string(100'000, '\xff');
  CHECK(networks->find(client("192.0.2.7")).asn == 64500);
}

TEST_CASE("what is not a file is refused at once") {
  const Folder folder;
  for (const char* name : {"pipe.csv", "pipe.mmdb"}) {
    const auto file = folder.file(name);
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    CHECK_THROWS_WITH(Networks::read({file}), file + ": is not a file");
  }
  for (const char* file : {"/", "/dev/zero"}) {
    CHECK_THROWS_WITH(Networks::read({file}), std::string(file) + ": is not a file");
  }
}

TEST_CASE("the first file that knows a fact decides") {
  const Folder folder;
  std::ofstream(folder.file("own.csv")) << "192.0.2.0/24,1,,DE\n";
  std::ofstream(folder.file("all.csv")) << "192.0.0.0/16,2,hosting,RO\n";
  const auto networks = Networks::read({folder.file("own.csv"), folder.file("all.csv")});
  CHECK(networks->find(client("192.0.2.7")) == NetworkFacts{1, Access::Hosting, "DE"});
  CHECK(networks->find(client("192.0.3.7")) == NetworkFacts{2, Access::Hosting, "RO"});
  CHECK(Networks::read({}) == nullptr);
}
