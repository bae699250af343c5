#include "classifier/tls_records.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/tls_stream.h"

using classifier::overhead_of_finished;
using classifier::read_server_hello;
using classifier::TlsChoice;
using classifier::TlsOverhead;
using classifier::TlsRecord;
using classifier::TlsRecordReader;
using classifier::TlsType;

namespace {

struct Read {
  std::vector<TlsRecord> records;
  bool malformed = false;
  std::string hello;
  bool operator==(const Read&) const = default;
};

Read read_cut(std::string_view stream, std::size_t cut) {
  TlsRecordReader reader;
  Read read;
  for (std::size_t at = 0; at < stream.size(); at += cut) {
    std::span<const char> bytes(stream.substr(at, cut));
    TlsRecord record;
    TlsRecordReader::Got got;
    while ((got = reader.read(bytes, record)) == TlsRecordReader::Got::Record) {
      read.records.push_back(record);
    }
    read.malformed = got == TlsRecordReader::Got::Malformed;
  }
  read.hello = std::string(reader.hello().begin(), reader.hello().end());
  return read;
}

}  // namespace

TEST_CASE("records are found however the bytes are cut") {
  const std::string hello = support::server_hello(0x1301, true);
  const std::string stream = support::tls_record(support::kHandshake, hello) +
                             support::tls_record(support::kChangeCipherSpec, 1) +
                             support::tls_record(support::kData, 0) +
                             support::tls_record(support::kData, 16401);
  const Read whole = read_cut(stream, stream.size());
  REQUIRE(whole.records.size() == 4);
  CHECK(whole.records[0].type == TlsType::Handshake);
  CHECK(whole.records[1].begin == 5 + hello.size());
  CHECK(whole.records[2].length == 0);
  CHECK(whole.records[3].length == 16401);
  CHECK(whole.records[3].end() == stream.size());
  CHECK(whole.hello == hello);
  for (const std::size_t cut : {1, 2, 3, 5, 7, 100, 4096}) CHECK(read_cut(stream, cut) == whole);
}

TEST_CASE("bytes that are not a record stop the reader permanently") {
  struct Row {
    const char* label;
    std::string bytes;
  };
  using namespace std::string_literals;
  const Row rows[] = {
      {"a type below the first", "\x13\x03\x03\x00\x01x"s},
      {"a type after the last one", "\x19\x03\x03\x00\x01x"s},
      {"plain SMTP", "EHLO mx.example.org\r\n"s},
      {"a version that is not 3", "\x17\x02\x03\x00\x01x"s},
      {"longer than any record", "\x17\x03\x03\x48\x01"s},
      {"an empty handshake record", "\x16\x03\x03\x00\x00"s},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    const std::string good = support::tls_record(support::kData, 20);
    TlsRecordReader reader;
    const std::string stream = good + row.bytes + good;
    std::span<const char> bytes(stream);
    TlsRecord record;
    CHECK(reader.read(bytes, record) == TlsRecordReader::Got::Record);
    CHECK(reader.read(bytes, record) == TlsRecordReader::Got::Malformed);
    std::span<const char> more(good);
    CHECK(reader.read(more, record) == TlsRecordReader::Got::Malformed);
    CHECK(more.size() == good.size());
  }
}

TEST_CASE("only the beginning of a hello is kept, whatever length it names") {
  TlsRecordReader reader;
  const std::string stream =
      support::tls_record(support::kHandshake, "\x01\xff\xff\xff" + std::string(16000, 'x'));
  std::span<const char> bytes(stream);
  TlsRecord record;
  CHECK(reader.read(bytes, record) == TlsRecordReader::Got::Record);
  CHECK(reader.hello().size() == TlsRecordReader::kMostHello);
}

TEST_CASE("a ServerHello names version and cipher") {
  CHECK(read_server_hello(support::server_hello(0x1302, true)) == TlsChoice{0x0304, 0x1302});
  CHECK(read_server_hello(support::server_hello(0xc02f, false)) == TlsChoice{0x0303, 0xc02f});
}

TEST_CASE(
    "a hello that is cut names nothing; a hello is read only up to the length that it names") {
  const std::string hello = support::server_hello(0x1302, true);
  for (std::size_t size = 0; size < hello.size(); ++size) {
    CHECK(read_server_hello(std::span(hello).first(size)) == TlsChoice{});
  }
  std::string shorter = hello;
  shorter[3] = 38;  // up to the cipher and the compression
  CHECK(read_server_hello(shorter) == TlsChoice{0x0303, 0x1302});
  CHECK(read_server_hello(std::string("\x01") + hello.substr(1)) == TlsChoice{});
}

TEST_CASE("the client's Finished shows how many bytes a cipher adds") {
  struct Row {
    const char* label;
    TlsChoice choice;
    std::uint32_t length;
    TlsOverhead overhead;
    std::uint32_t record;  // of a plaintext of 100 bytes
    std::uint32_t slack;
  };
  const Row rows[] = {
      {"TLS 1.3, SHA-256", {0x0304, 0x1301}, 53, {17, 1}, 117, 0},
      {"TLS 1.3, SHA-384", {0x0304, 0x1302}, 69, {17, 1}, 117, 0},
      {"TLS 1.3, ChaCha20", {0x0304, 0x1303}, 53, {17, 1}, 117, 0},
      {"TLS 1.3 of Java, which pads", {0x0304, 0x1302}, 85, {33, 1}, 133, 0},
      {"TLS 1.2, GCM", {0x0303, 0xc030}, 40, {24, 1}, 124, 0},
      {"TLS 1.2, ChaCha20", {0x0303, 0xcca8}, 32, {16, 1}, 116, 0},
      {"TLS 1.2, AES-CBC and SHA-1", {0x0303, 0xc014}, 64, {36, 16}, 144, 15},
      {"TLS 1.0, AES-CBC and SHA-1", {0x0301, 0xc014}, 48, {20, 16}, 128, 15},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    TlsOverhead overhead;
    REQUIRE(overhead_of_finished(row.choice, row.length, overhead));
    CHECK(overhead == row.overhead);
    const std::uint32_t most = overhead.most_plain(row.record);
    CHECK(most >= 100);
    CHECK(most - 100 <= row.slack);
    CHECK(overhead.slack() == row.slack);
  }
}

TEST_CASE("a record of another length is not the Finished") {
  TlsOverhead overhead;
  CHECK_FALSE(overhead_of_finished({0x0304, 0x1301}, 25, overhead));   // a certificate, empty
  CHECK_FALSE(overhead_of_finished({0x0304, 0x1301}, 900, overhead));  // a certificate
  CHECK_FALSE(overhead_of_finished({0x0303, 0xc030}, 41, overhead));
  CHECK_FALSE(overhead_of_finished({0, 0}, 40, overhead));
}
