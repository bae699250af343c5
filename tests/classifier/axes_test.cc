// The two axes: which writer, which path, and with which strength.
#include "classifier/axes.h"

#include <catch2/catch.hpp>

#include "classifier/trace_text.h"

using namespace classifier;

namespace {

constexpr const char* kHeader = "mss=1448 line1=40 header=302 body=304 dot=3 fields=40,77,124,302 ";
constexpr const char* kReceived = "mss=1448 line1=40 header=302 body=304 dot=3 fields=77r,124,302 ";

struct Readings {
  WriterReading writer;
  PathReading path;
  Reasons why;
};

Readings of(const std::string& fields) {
  const auto result = parse_trace("segmilter/1 " + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  const Trace& trace = std::get<Trace>(result);
  const Writes writes = recover_writes(trace);
  const Features features = extract(trace, writes);
  Readings readings;
  readings.writer = read_writer(trace, writes, features, readings.why);
  readings.path = read_path(writes, features, readings.writer.writer, readings.why);
  return readings;
}

Writer writer_of(const std::string& fields) {
  return of(fields).writer.writer;
}
PathShape path_of(const std::string& fields) {
  return of(fields).path.path;
}

}  // namespace

TEST_CASE("the first cut that shows a writer names it") {
  struct Row {
    const char* why;
    const char* header;
    const char* segments;
    Writer writer;
  };
  const Row rows[] = {
      {"one write", kHeader, "seg=1448x9,200pn", Writer::Stream},
      {"one write, terminator apart", kHeader, "seg=1448x9,200pn,3pn", Writer::Stream},
      {"short message, terminator apart", kHeader, "seg=900pn,3pn", Writer::Stream},
      {"first line, then joined", kHeader, "seg=40pn,1448x9,200pn", Writer::Lines},
      {"line without CRLF first", kHeader, "seg=38p,1448x9,200pn", Writer::Lines},
      {"no Nagle", kHeader, "seg=40pn,37pn,47pn,178pn,2pn,66pn,1448,20pn", Writer::Lines},
      {"first line of a folded Received", kReceived, "seg=40pn,1448x9,200pn", Writer::Lines},
      {"whole Received, then bulk", kReceived, "seg=77pn,1448,1448p,1448,1448p,200pn",
       Writer::ReceivedFirst},
      {"whole Received, then lines joined", kReceived, "seg=77pn,1448x7,1448p,200pn",
       Writer::Lines},
      {"another first field, then bulk", kHeader, "seg=40pn,1448,1448p,1448,1448p,200pn",
       Writer::Lines},
      {"header apart", kHeader, "seg=304pn,1448x9,200pn", Writer::HeadersApart},
      {"header apart, blocks after it", kHeader, "seg=304pn,1448,600p,1448,600p,9pn",
       Writer::HeadersApart},
      {"one cut in a header line", kHeader, "seg=86p,1448x9,200pn", Writer::Template},
      {"three", kHeader, "seg=86p,36p,182pn,1448x9,200pn", Writer::Template},
      {"first line by chance, then two in lines", kHeader, "seg=40pn,20p,50p,1448x9,200pn",
       Writer::Template},
      {"blocks", kHeader, "seg=1448x2,1200p,1448x7,200pn", Writer::Blocks},
      {"blocks of lines", kHeader, "seg=1448x5,895pn,1448x7,200pn", Writer::Blocks},
      {"something in the body", kHeader, "seg=1448,333p,1448,200pn", Writer::Unknown},
      {"one segment", kHeader, "seg=900pn", Writer::Unknown},
      {"encrypted", "tls=yes mss=1448 ", "seg=1448x9,20p", Writer::Unknown},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Readings readings = of(std::string(row.header) + row.segments);
    const WriterReading& reading = readings.writer;
    CHECK(name(reading.writer) == name(row.writer));
    CHECK_FALSE(readings.why.empty());
    CHECK((reading.writer == Writer::Unknown) == (reading.strength == 0));
  }
}

TEST_CASE("a remnant or a repaired segment inside the header is no template") {
  CHECK(writer_of("mss=1448 line1=40 header=2900 body=2902 dot=3 "
                  "seg=948o,948po,948o,52po,948o,500r,881pn") == Writer::Stream);
  CHECK(writer_of("mss=1448 line1=40 header=9000 body=9002 dot=3 "
                  "seg=1448x2,700p,1448h,1448x9,7pn") != Writer::Template);
}

TEST_CASE("the ends of BDAT chunks are made by the protocol and not by a bot") {
  const std::string header = "transfer=bdat mss=1448 line1=19 header=324 body=326 fields=19,324 ";
  CHECK(writer_of(header + "chunks=2 seg=324pn,1448x4,90pn") == Writer::Stream);
  CHECK(writer_of(header + "chunks=27 seg=129x27p,90pn") == Writer::Unknown);
  CHECK(writer_of(header + "chunks=1 seg=21<86p,1448x4,90pn") == Writer::Template);
}

TEST_CASE("the writer is unknown if reads hide what came before the first cut") {
  CHECK(writer_of(std::string("via=read ") + kHeader + "seg=134/3,170n,1448,9n") ==
        Writer::Unknown);
  CHECK(writer_of(std::string("via=read ") + kHeader + "seg=304n,1448,9n") == Writer::HeadersApart);
}

TEST_CASE("strength falls with repairs, with reads and with missing bytes") {
  const std::string clean = std::string(kHeader) + "seg=304pn,1448x4,200pn";
  const std::string repaired = std::string(kHeader) + "seg=304pn,1448x4r,200pn";
  const double best = of(clean).writer.strength;
  CHECK(best > 0.85);
  CHECK(of(repaired).writer.strength < best);
  CHECK(of("via=read " + clean).writer.strength < best);
  CHECK(of("state=partial reason=full " + clean).writer.strength < best);
}

TEST_CASE("a header that was not wholly seen shows no writer except a template") {
  const std::string partial = std::string(kHeader) + "state=partial reason=dropped size=9000 ";
  const auto writer = [&](const char* segments) { return writer_of(partial + segments); };
  CHECK(writer("seg=1448x5,1760h") == Writer::Stream);  // missing in the body
  CHECK(writer("seg=1448x5") == Writer::Stream);        // at the end
  CHECK(writer("seg=1448h,1448x4,1760") == Writer::Unknown);
  CHECK(writer("seg=200,1448h,1448x4,1560") == Writer::Unknown);
  CHECK(writer("seg=200") == Writer::Unknown);
  CHECK(writer("seg=40pn,1448h,1448x4,1720n") == Writer::Unknown);
  CHECK(writer("seg=20p,30p,1448h,1448x4,1710n") == Writer::Template);
  // The end of the header is not known.
  CHECK(writer_of("mss=1448 state=partial reason=dropped size=9000 seg=1448x5,1760h") ==
        Writer::Unknown);
  // Under TLS the records are read from the stream, whatever the capture missed.
  CHECK(
      writer_of(
          "tls=yes mss=1448 header=302 body=304 state=partial reason=dropped seg=1448h,1448x4,900 "
          "rec=8000") == Writer::Stream);
}

TEST_CASE(
    "where PSH marks the ends of writes, it shows blocks or lines, or makes a stream doubtful") {
  const std::string lwip =
      "syn=4:252:0:1460:65535,1:mss,nop,ws::0 mss=1460 line1=40 header=302 body=304 dot=3 ";
  const std::string plain = lwip + "fields=40,77,124,302 ";
  const Readings blocks = of(plain + "seg=1460,1460p,1460p,1460,1460p,1460p,217pn");
  CHECK(blocks.writer.writer == Writer::Blocks);
  CHECK(blocks.writer.block == 2048);
  CHECK(blocks.writer.strength >= 0.95);
  const Readings one = of(plain + "seg=1460x5,1460p,217pn");
  CHECK(one.writer.block == 8192);
  CHECK(one.writer.strength < 0.9);
  CHECK(of(plain + "seg=1460x6,217pn").writer.strength > 0.9);
  const Readings unexplained = of(plain + "seg=1460,1460p,1460,1460p,1460,1460p,217pn");
  CHECK(unexplained.writer.writer == Writer::Stream);
  CHECK(unexplained.writer.strength <= 0.75);
  const std::string received = lwip + "fields=77r,124,302 ";
  CHECK(writer_of(received + "seg=77pn,1460x6p,177pn") == Writer::Lines);
  CHECK(writer_of(received + "seg=77pn,1460p,1460x5,177pn") == Writer::ReceivedFirst);
}

TEST_CASE(
    "a first flight that ends below a usual buffer, or a pause in it, makes a stream doubtful") {
  struct Row {
    const char* why;
    const char* segments;
    bool sure;
  };
  const Row rows[] = {
      {"the congestion window", "1331,1331p@30,1331@40000,1331p@30,1331@7,1331p@5,1331@5,305pn@9",
       false},
      {"a VPN's program stood still, recorded",
       "1331,1331p@28,1331@19,1331p@6,1331@6,1331p@5,1331@10608,1331p@32,1331@21,1331p@6,305pn@"
       "3591",
       false},
      {"behind the usual buffers",
       "1331,1331p@28,1331@19,1331p@6,1331@6,1331p@5,1331@6,1331p@32,1331@10608,1331p@6,305pn@91",
       true},
      {"a slow link",
       "1331,1331p@41000,1331@41000,1331p@41000,1331@41000,1331p@41000,1331@41000,305pn@9600",
       true},
      {"a pause as wide as others",
       "1331,1331p@900,1331@1200,1331p@900,1331@1300,1331p@900,1331@900,305pn@900", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Readings found =
        of("rtt=40500 mss=1331 line1=40 header=302 body=304 dot=3 fields=40,77,124,302 seg=" +
           std::string(row.segments));
    CHECK(found.writer.writer == Writer::Stream);
    CHECK((found.writer.strength > 0.9) == row.sure);
  }
}

TEST_CASE("more cuts of the same kind make the writer more certain") {
  const auto strength = [](const char* segments) {
    return of(std::string(kHeader) + segments).writer.strength;
  };
  CHECK(strength("seg=86p,36p,182pn,1448x9,200pn") > strength("seg=86p,1448x9,200pn"));
  CHECK(strength("seg=1448x2,1200p,1448x2,1200p,1448,9pn") >
        strength("seg=1448x2,1200p,1448x4,9pn"));
}

TEST_CASE("the path is read from the full segments") {
  struct Row {
    const char* why;
    const char* fields;
    PathShape path;
  };
  const Row rows[] = {
      {"ordinary", "mss=1448 seg=1448x9,200p", PathShape::Full},
      {"garage", "seg=920x9,311", PathShape::Small},
      {"just small", "mss=1000 seg=1000,1000p,1000,7p", PathShape::Small},
      {"just not", "mss=1001 seg=1001,1001p,1001,7p", PathShape::Full},
      {"path MTU below the announced", "mss=1448 seg=948,948p,948,7p", PathShape::Small},
      {"moves", "mss=1400 seg=1400,536,536p,536,536p,1400,9p", PathShape::Fluctuating},
      {"announced only", "mss=1448 seg=40p,800p", PathShape::Full},
      {"nothing known", "seg=40p,800p", PathShape::Unknown},
      {"repairs and cuts nothing explains",
       "mss=1448 line1=19 header=640 body=642 dot=3 "
       "seg=1448,611p,837pr,1448,301po,1147pr,1448,97pn",
       PathShape::Noisy},
      {"repairs alone", "mss=1448 seg=1448x3r,1448x4o,90p", PathShape::Full},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK(name(path_of(row.fields)) == name(row.path));
  }
}
