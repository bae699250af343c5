#include "classifier/tls_shape.h"

#include <catch2/catch.hpp>
#include <vector>

using classifier::shape_of;
using classifier::TlsShape;

TEST_CASE("each way to write has its shape in the sizes") {
  struct Row {
    const char* label;
    std::vector<std::uint32_t> writes;
    TlsShape shape;
  };
  const Row rows[] = {
      {"smtplib", {18594}, TlsShape::OneWrite},
      {"Postfix: four segments a write", {5792, 5792, 5792, 3462}, TlsShape::Segments},
      {"Postfix, two writes", {5792, 1200}, TlsShape::Segments},
      {"Go", {4096, 4096, 2213}, TlsShape::Blocks},
      {"Sendmail, one full buffer", {4096, 1183}, TlsShape::Blocks},
      {"Exim", {8189, 8189, 2401}, TlsShape::Blocks},
      {"a buffer that no other program has", {5000, 5000, 5000, 17}, TlsShape::Blocks},
      {"JavaMail", {8135, 8192, 2285}, TlsShape::LineBuffer},
      {"OpenSMTPD, whose queue ran dry once",
       {4088, 4046, 4039, 4046, 4046, 4039, 819, 4046, 612},
       TlsShape::LineBuffer},
      {"OpenSMTPD", {4050, 1229}, TlsShape::LineBuffer},
      {"msmtp", {40, 37, 28, 39, 44, 19, 44, 33, 2, 74, 69, 73}, TlsShape::Lines},
      {"header by line, body at once", {39, 22, 33, 34, 62, 68, 2, 11420}, TlsShape::Lines},
      {"the first line, then all", {40, 5000}, TlsShape::Lines},
      {"nodemailer", {279, 2589}, TlsShape::HeadersApart},
      {"nodemailer, parts", {300, 34, 88, 7072, 36, 87, 11268, 38}, TlsShape::HeadersApart},
      {"SwiftMailer", {331, 149, 7367, 11487}, TlsShape::HeadersApart},
      {".NET", {283, 747, 11}, TlsShape::HeadersApart},
      {"the talk's template", {399, 29, 184, 2817}, TlsShape::Template},
      {"a value, the header's rest, the body", {138, 20, 463, 1337}, TlsShape::Template},
      {"Indy", {619, 2, 64, 36, 76, 57, 76, 60, 57, 61}, TlsShape::HeadersApart},
      {"Symfony", {196, 86, 2, 2691, 3}, TlsShape::HeadersApart},
      {"Synapse", {1484, 1471, 1496, 800}, TlsShape::LineBuffer},
      {"our template writer", {86, 36, 182, 15000}, TlsShape::Template},
      {"nothing in common", {9000, 12000, 700}, TlsShape::Unknown},
      {"nothing at all", {}, TlsShape::Unknown},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(shape_of(row.writes, 1448, 0) == row.shape);
  }
}

TEST_CASE("sizes that are known to a block only still show a buffer") {
  const std::vector<std::uint32_t> writes{4107, 4107, 900};  // 4096 under CBC
  CHECK(shape_of(writes, 1460, 15) == TlsShape::Blocks);
  CHECK(shape_of(std::vector<std::uint32_t>{4107, 900}, 1460, 0) != TlsShape::Blocks);
}
