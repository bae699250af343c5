// The trace notation: what print() writes parse_trace() reads, and a line that is almost a trace is
// an error that names its byte.
#include "classifier/trace_text.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <rapidcheck.h>

#include "classifier/enum_names.h"

using namespace classifier;

namespace {

Trace read(std::string_view text) {
  auto result = parse_trace(text);
  if (const auto* error = std::get_if<TraceError>(&result)) {
    FAIL(text << ": byte " << error->offset << ": " << error->message);
  }
  return std::get<Trace>(std::move(result));
}

// Half of all numbers are the smallest or the largest, because most errors show there.
template <typename T>
rc::Gen<T> number(T least = 0) {
  return rc::gen::oneOf(
      rc::gen::element(T{least}, static_cast<T>(least + 1), std::numeric_limits<T>::max()),
      rc::gen::map(rc::gen::arbitrary<T>(), [least](T value) { return std::max(value, least); }));
}

rc::Gen<Segment> segment() {
  return rc::gen::build<Segment>(rc::gen::set(&Segment::size, number<std::uint32_t>(1)),
                                 rc::gen::set(&Segment::before, number<std::uint32_t>()),
                                 rc::gen::set(&Segment::after, number<std::uint32_t>()),
                                 rc::gen::set(&Segment::count, number<std::uint32_t>(1)),
                                 rc::gen::set(&Segment::gap_us, number<std::uint32_t>()),
                                 rc::gen::set(&Segment::push), rc::gen::set(&Segment::resent),
                                 rc::gen::set(&Segment::late), rc::gen::set(&Segment::hole),
                                 rc::gen::set(&Segment::line_end), rc::gen::set(&Segment::cr_end));
}

// Each segment one to three times, so that there are runs, and almost runs.
rc::Gen<std::vector<Segment>> segments() {
  const auto some = rc::gen::container<std::vector<Segment>>(segment());
  return rc::gen::map(some, [](const std::vector<Segment>& kinds) {
    std::vector<Segment> all;
    for (std::size_t i = 0; i < kinds.size(); ++i) all.insert(all.end(), 1 + i % 3, kinds[i]);
    return all;
  });
}

rc::Gen<std::vector<Record>> records() {
  return rc::gen::container<std::vector<Record>>(
      rc::gen::build<Record>(rc::gen::set(&Record::size, number<std::uint32_t>(1)),
                             rc::gen::set(&Record::before, number<std::uint32_t>()),
                             rc::gen::set(&Record::after, number<std::uint32_t>())));
}

rc::Gen<std::vector<std::uint32_t>> offsets() {
  return rc::gen::map(rc::gen::container<std::vector<std::uint32_t>>(number<std::uint32_t>()),
                      [](std::vector<std::uint32_t> all) {
                        if (all.size() > Trace::kMaxChunks) all.resize(Trace::kMaxChunks);
                        return all;
                      });
}

rc::Gen<Tls> hello() {
  return rc::gen::build<Tls>(
      rc::gen::set(&Tls::version, number<std::uint16_t>()),
      rc::gen::set(&Tls::cipher, number<std::uint16_t>()),
      rc::gen::set(&Tls::slack, number<std::uint32_t>()),
      rc::gen::set(
          &Tls::ja4,
          rc::gen::element(std::string(), std::string("t13d1516h2_8daaf6152771_e5627efa2ab1"))));
}

rc::Gen<Landmarks> landmarks() {
  const auto field =
      rc::gen::build<HeaderField>(rc::gen::set(&HeaderField::end, number<std::uint32_t>()),
                                  rc::gen::set(&HeaderField::received));
  const auto fields = rc::gen::map(rc::gen::container<std::vector<HeaderField>>(field),
                                   [](std::vector<HeaderField> all) {
                                     if (all.size() > Landmarks::kMaxFields)
                                       all.resize(Landmarks::kMaxFields);
                                     return all;
                                   });
  return rc::gen::build<Landmarks>(
      rc::gen::set(&Landmarks::fields, fields), rc::gen::set(&Landmarks::folds, offsets()),
      rc::gen::set(&Landmarks::header_end, number<std::uint32_t>()),
      rc::gen::set(&Landmarks::body_begin, number<std::uint32_t>()),
      rc::gen::set(&Landmarks::first_line_end, number<std::uint32_t>()),
      rc::gen::set(&Landmarks::terminator, number<std::uint8_t>()));
}

rc::Gen<Dialogue> dialogue() {
  using Greeting = Dialogue::Greeting;
  return rc::gen::build<Dialogue>(
      rc::gen::set(&Dialogue::greeting,
                   rc::gen::element(Greeting::None, Greeting::Helo, Greeting::Ehlo)),
      rc::gen::set(&Dialogue::lower_case), rc::gen::set(&Dialogue::early_talker),
      rc::gen::set(&Dialogue::early_data), rc::gen::set(&Dialogue::pipelined),
      rc::gen::set(&Dialogue::split_command), rc::gen::set(&Dialogue::bare_lf),
      rc::gen::set(&Dialogue::quit_with_dot), rc::gen::set(&Dialogue::space_after_colon),
      rc::gen::set(&Dialogue::chunks, number<std::uint8_t>()), rc::gen::set(&Dialogue::mixed_case),
      rc::gen::set(&Dialogue::soft_path), rc::gen::set(&Dialogue::trailing_space),
      rc::gen::set(&Dialogue::fallback), rc::gen::set(&Dialogue::literal),
      rc::gen::set(&Dialogue::dotless), rc::gen::set(&Dialogue::auth),
      rc::gen::set(&Dialogue::rset), rc::gen::set(&Dialogue::eight_bit),
      rc::gen::set(&Dialogue::seven_bit), rc::gen::set(&Dialogue::body_first),
      rc::gen::set(&Dialogue::dsn), rc::gen::set(&Dialogue::rcpt_ahead),
      rc::gen::set(&Dialogue::data_ahead), rc::gen::set(&Dialogue::blank_end),
      rc::gen::set(&Dialogue::declared, number<std::uint64_t>()));
}

rc::Gen<Path> path() {
  return rc::gen::build<Path>(rc::gen::set(&Path::mss, number<std::uint32_t>()),
                              rc::gen::set(&Path::rtt_us, number<std::uint32_t>()),
                              rc::gen::set(&Path::timestamps),
                              rc::gen::set(&Path::syn, rc::gen::string<std::string>()));
}

rc::Gen<Trace> trace() {
  return rc::gen::map(
      rc::gen::build<Trace>(
          rc::gen::set(&Trace::via, rc::gen::element(Via::Kernel, Via::Read, Via::Wire, Via::Pcap,
                                                     Via::Balancer)),
          rc::gen::set(&Trace::state,
                       rc::gen::element(State::Complete, State::Partial, State::Unobserved)),
          rc::gen::set(&Trace::reason, rc::gen::map(rc::gen::inRange(0, 13),
                                                    [](int i) { return static_cast<Reason>(i); })),
          rc::gen::set(&Trace::message, number<std::uint32_t>()),
          rc::gen::set(&Trace::transfer, rc::gen::element(Transfer::Data, Transfer::Bdat)),
          rc::gen::set(&Trace::tls),
          rc::gen::set(&Trace::window,
                       rc::gen::element(Window::Followed, Window::OneSided, Window::Inferred,
                                        Window::Exact, Window::Near)),
          rc::gen::set(&Trace::miss, number<std::uint64_t>()), rc::gen::set(&Trace::hello, hello()),
          rc::gen::set(&Trace::records, records()), rc::gen::set(&Trace::chunk_begins, offsets()),
          rc::gen::set(&Trace::size, number<std::uint64_t>()), rc::gen::set(&Trace::path, path()),
          rc::gen::set(&Trace::landmarks, landmarks()), rc::gen::set(&Trace::dialogue, dialogue()),
          rc::gen::set(&Trace::segments, segments())),
      [](Trace value) { return value; });
}

}  // namespace

TEST_CASE("every trace is read back as it was printed") {
  REQUIRE(rc::check("parse(print(t)) == t and print(parse(print(t))) == print(t)", [] {
    const Trace before = *trace();
    const std::string text = print(before);
    RC_ASSERT(text.find('\n') == std::string::npos);
    auto result = parse_trace(text);
    RC_ASSERT(std::holds_alternative<Trace>(result));
    RC_ASSERT(std::get<Trace>(result) == before);
    RC_ASSERT(print(std::get<Trace>(result)) == text);
  }));
}

TEST_CASE("any bytes are a trace or an error inside them") {
  REQUIRE(rc::check("no other outcome", [] {
    std::string text = print(*trace());
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    text[at] = *rc::gen::arbitrary<char>();
    if (*rc::gen::arbitrary<bool>()) text.resize(at);
    const auto result = parse_trace(text);
    if (const auto* error = std::get_if<TraceError>(&result)) {
      RC_ASSERT(error->offset <= text.size());
      RC_ASSERT(!error->message.empty());
    }
  }));
}

TEST_CASE("a new trace is only the name of the notation") {
  CHECK(print(Trace{}) == "segmilter/1");
  CHECK(read("segmilter/1") == Trace{});
}

TEST_CASE("each mark means what the grammar says") {
  const Trace trace = read(
      "segmilter/1 via=pcap mss=1448 syn=4:64:%20%25 fields=39,110r talk=ehlo,pipelined "
      "seg=14<1434,1448x2p,29pn@412,2900/2@7,331+6prohnc");
  REQUIRE(trace.segments.size() == 6);
  CHECK(trace.segments[0].before == 14);
  CHECK(trace.segments[0].size == 1434);
  CHECK(trace.segments[1] == trace.segments[2]);
  CHECK(trace.segments[1].push);
  CHECK(trace.segments[3].line_end);
  CHECK(trace.segments[3].gap_us == 412);
  CHECK(trace.segments[4].count == 2);
  const Segment& last = trace.segments[5];
  CHECK(last.after == 6);
  CHECK((last.push && last.resent && last.late && last.hole && last.line_end && last.cr_end));
  CHECK(trace.path.syn == "4:64: %");
  CHECK(trace.landmarks.fields == std::vector<HeaderField>{{39, false}, {110, true}});
  CHECK(trace.dialogue.greeting == Dialogue::Greeting::Ehlo);
  CHECK(trace.dialogue.pipelined);
  CHECK(trace.size == 1434 + 2 * 1448 + 29 + 2900 + 331);
}

TEST_CASE("under TLS the size is that of the records, and the segments hold encrypted bytes") {
  const Trace trace = read(
      "segmilter/1 tls=yes version=0304 cipher=1302 window=inferred seg=1448x3,200p "
      "rec=4096,443+6");
  CHECK(trace.hello == Tls{.version = 0x0304, .cipher = 0x1302});
  CHECK(trace.window == Window::Inferred);
  REQUIRE(trace.records.size() == 2);
  CHECK(trace.records[1] == Record{.size = 443, .after = 6});
  CHECK(trace.size == 4096 + 443);
  CHECK(trace.segments.size() == 4);
}

TEST_CASE("a trace is read in any order, also with written defaults") {
  const char* rows[] = {
      "segmilter/1 via=kernel state=complete reason=none tls=no transfer=data",
      "segmilter/1 seg=1 mss=1",
      "segmilter/1 size=0 seg=5",
      "segmilter/1 size=18446744073709551615",
      "segmilter/1 mss=4294967295 dot=255 chunks=255 msg=0",
      "segmilter/1 seg=1x65536",
      "segmilter/1 state=unobserved reason=no-session",
      "segmilter/1 via=balancer state=unobserved reason=balancer",
      "segmilter/1 talk=colon-space,lower,helo",
      "segmilter/1 rec=5<7+6x65536",
      "segmilter/1 version=ffff cipher=0001 slack=15",
      "segmilter/1 transfer=bdat chunks=3 chunk-begins=295,8487 window=one-sided",
  };
  for (const char* row : rows) {
    CAPTURE(row);
    read(row);
  }
}

TEST_CASE("a line that is almost a trace is an error at its byte") {
  struct Row {
    const char* why;
    std::string text;
    std::size_t offset;
  };
  std::string fields = "segmilter/1 fields=1";
  for (int i = 0; i < 64; ++i) fields += ",1";
  const Row rows[] = {
      {"nothing", "", 0},
      {"another version", "segmilter/2", 0},
      {"version runs on", "segmilter/10", 11},
      {"trailing space", "segmilter/1 ", 12},
      {"two spaces", "segmilter/1  mss=1", 12},
      {"tab", "segmilter/1\tmss=1", 11},
      {"line end", "segmilter/1 mss=1\n", 17},
      {"unknown key", "segmilter/1 mtu=1500", 12},
      {"capital key", "segmilter/1 MSS=1", 12},
      {"no value", "segmilter/1 mss", 15},
      {"empty number", "segmilter/1 mss=", 16},
      {"doubled key", "segmilter/1 mss=1 mss=1", 18},
      {"negative", "segmilter/1 mss=-1", 16},
      {"leading zero", "segmilter/1 mss=01", 16},
      {"hexadecimal", "segmilter/1 mss=0x10", 17},
      {"33 bits", "segmilter/1 mss=4294967296", 16},
      {"65 bits", "segmilter/1 size=18446744073709551616", 17},
      {"9 bits", "segmilter/1 dot=256", 16},
      {"unknown word", "segmilter/1 via=magic", 16},
      {"yes or no", "segmilter/1 tls=1", 16},
      {"two greetings", "segmilter/1 talk=helo,ehlo", 22},
      {"doubled talk", "segmilter/1 talk=lower,lower", 23},
      {"empty talk", "segmilter/1 talk=", 17},
      {"comma at the end of fields", "segmilter/1 fields=1,", 21},
      {"65 fields", fields, fields.size() - 1},
      {"empty segments", "segmilter/1 seg=", 16},
      {"segment of nothing", "segmilter/1 seg=0", 16},
      {"before without a size", "segmilter/1 seg=5<", 18},
      {"before of nothing", "segmilter/1 seg=0<5", 16},
      {"after of nothing", "segmilter/1 seg=5+0", 18},
      {"count of nothing", "segmilter/1 seg=5/0", 18},
      {"run of one", "segmilter/1 seg=5x1", 18},
      {"flags out of order", "segmilter/1 seg=5rp", 18},
      {"doubled flag", "segmilter/1 seg=5pp", 18},
      {"gap of nothing", "segmilter/1 seg=5@0", 18},
      {"flag after the gap", "segmilter/1 seg=5@7p", 19},
      {"one segment too many", "segmilter/1 seg=1x65536,1", 24},
      {"a run that would fill the memory", "segmilter/1 seg=1x4294967295", 16},
      {"runs that would together", "segmilter/1 seg=1x60000,2x60000", 24},
      {"record with a flag", "segmilter/1 rec=5p", 17},
      {"record of nothing", "segmilter/1 rec=0", 16},
      {"one record too many", "segmilter/1 rec=1x65536,1", 24},
      {"short print", "segmilter/1 ja4=t13d1516h2", 16},
      {"print of other letters", "segmilter/1 ja4=t13d1516h2_8daaf6152771-e5627efa2ab1", 16},
      {"version of three digits", "segmilter/1 version=303", 20},
      {"version in capitals", "segmilter/1 version=030A", 20},
      {"no version at all", "segmilter/1 version=0000", 20},
      {"empty chunks", "segmilter/1 chunk-begins=", 25},
      {"empty signature", "segmilter/1 syn=", 16},
      {"half an escape", "segmilter/1 syn=%4", 16},
      {"small letters in an escape", "segmilter/1 syn=%4a", 16},
      {"raw byte in a signature", "segmilter/1 syn=\x80", 16},
      {"long signature", "segmilter/1 syn=" + std::string(513, 'a'), 16 + 512},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why, row.text);
    const auto result = parse_trace(row.text);
    const auto* error = std::get_if<TraceError>(&result);
    REQUIRE(error != nullptr);
    CHECK(error->offset == row.offset);
    CHECK_FALSE(error->message.empty());
  }
}

TEST_CASE("sizes for people join runs of three and stop at their limit") {
  CHECK(print_sizes(read("segmilter/1 seg=399p,29,184,1440x5,1377"), 24) ==
        "399,29,184,1440x5,1377");
  CHECK(print_sizes(read("segmilter/1 seg=1448,1448p,7"), 24) == "1448,1448,7");
  CHECK(print_sizes(read("segmilter/1 seg=1448p,1448,1448r"), 24) == "1448x3");
  CHECK(print_sizes(read("segmilter/1 seg=1,2,3,4x3"), 2) == "1,2,+4");
  CHECK(print_sizes(read("segmilter/1 seg=9<5+7"), 2) == "5");
  // One segment of 1448 with a BDAT command of 16 bytes between two chunks, then another segment.
  CHECK(print_sizes(read("segmilter/1 transfer=bdat seg=16<700+732,732<716,16<100"), 24) ==
        "1416,100");
  CHECK(print_sizes(Trace{}, 2).empty());
  CHECK(print_sizes(std::vector<std::uint32_t>{4096, 4096, 4096, 7}, 24) == "4096x3,7");
}

TEST_CASE("names of the enumerations are found again") {
  for (std::size_t i = 0; i < enumerators<Reason>(); ++i) {
    const auto reason = static_cast<Reason>(i);
    CHECK(reason_named(name(reason)) == reason);
  }
  CHECK(via_named("wire") == Via::Wire);
  CHECK(via_named("balancer") == Via::Balancer);
  CHECK(state_named("partial") == State::Partial);
  CHECK_FALSE(reason_named("No-session"));
}
