#include "milter/offline/evaluate.h"

#include <sysexits.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "classifier/trace_text.h"
#include "milter/offline/evaluate_command.h"
#include "milter/offline/evaluate_report.h"

using classifier::PathShape;
using classifier::Pattern;
using classifier::Policy;
using classifier::Writer;
using offline::Answer;
using offline::Evaluation;
using offline::Extra;
using offline::Judged;
using offline::TruthRow;

namespace {

// A mail server's message that was recognized. Each test changes the values that it is about.
Judged server(const std::string& file = "a.pcap") {
  return {.truth = {.file = file,
                    .sender = "postfix",
                    .sender_class = "official-mta",
                    .link = "base",
                    .kind = "k5",
                    .segments = 4,
                    .bytes = 5200,
                    .writers = {Writer::Stream},
                    .paths = {PathShape::Full},
                    .patterns = {Pattern::OfficialMta}},
          .answer = Answer{.pattern = Pattern::OfficialMta,
                           .writer = Writer::Stream,
                           .path = PathShape::Full,
                           .confidence = 0.97,
                           .gait = "postfix",
                           .trace = "segmilter/1 seg=1448x3,856"}};
}

Judged block_writer(std::uint32_t answered) {
  Judged judged = server();
  judged.truth.writers = {Writer::Blocks};
  judged.truth.patterns = {Pattern::KilobyteBlocks};
  judged.truth.block = 4096;
  judged.answer->writer = Writer::Blocks;
  judged.answer->pattern = Pattern::KilobyteBlocks;
  judged.answer->block = answered;
  return judged;
}

Evaluation evaluated(const std::vector<Judged>& judged, const std::vector<Extra>& extra = {},
                     const offline::GaitPrograms& gaits = {}) {
  return offline::evaluate(judged, extra, Policy{}, gaits);
}

const offline::Figure& figure(const Evaluation& all, const std::string& name) {
  for (const auto& one : all.figures) {
    if (one.name == name) return one;
  }
  FAIL("no figure " << name);
  return all.figures.front();
}

// A book of one gait: exim and its relay write alike.
const offline::GaitPrograms kExims = {
    {"exim", {.programs = {"exim", "exim-relay"}, .kind = classifier::GaitClass::OfficialMta}}};

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "segmilter-evaluate-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path() const { return path_.string(); }
  std::string write(const std::string& file, const std::string& text) const {
    std::ofstream(path_ / file) << text;
    return path_ / file;
  }

 private:
  std::filesystem::path path_;
};

// The standard output of a command, and its exit code.
struct Printed {
  int code = 0;
  std::string text;
};

Printed run(const offline::EvaluateOptions& options, const offline::ReadCapture& read) {
  char name[] = "/tmp/segmilter-evaluate-XXXXXX";
  const int file = mkstemp(name);
  REQUIRE(file >= 0);
  std::fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  dup2(file, STDOUT_FILENO);
  Printed printed{.code = offline::evaluate_command(options, read)};
  std::fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  close(file);
  std::ifstream in(name);
  printed.text.assign(std::istreambuf_iterator<char>(in), {});
  std::filesystem::remove(name);
  return printed;
}

offline::Outcome no_capture(const std::string& file, const offline::Options&,
                            const offline::OnResult&) {
  return {.kind = offline::Outcome::Kind::Unreadable, .warning = file + ": no capture"};
}

constexpr const char* kColumns =
    "file\tmessage\tsender\tclass\tlink\tkind\ttls\tbdat\tsegments\tbytes\twriter\tpath\tpattern\t"
    "block\n";

}  // namespace

TEST_CASE("right answers meet every target that could be measured") {
  const auto all = evaluated({server("a"), server("b")});
  for (const auto& one : all.figures) {
    INFO(one.name);
    CHECK(one.met());
  }
  CHECK(*figure(all, "writer_f1").value == 1);
  CHECK_FALSE(figure(all, "tls_writer_f1").value.has_value());
  CHECK(all.mistakes.empty());
}

TEST_CASE("a message that was not found counts as wrong and is listed") {
  Judged lost = server("b");
  lost.answer.reset();
  const auto all = evaluated({server("a"), lost});
  CHECK(*figure(all, "pattern_right").value == Approx(0.5));
  CHECK(*figure(all, "writer_f1").value == Approx(2.0 / 3));
  CHECK(*figure(all, "missing").value == 1);
  CHECK_FALSE(figure(all, "missing").met());
  REQUIRE(all.missing.size() == 1);
  CHECK(all.missing[0].file == "b");
  CHECK(all.clear.calibration.n() == 1);
}

TEST_CASE("a message that the truth does not know lowers precision and is listed") {
  const Extra extra{.file = "a", .message = 2, .link = "base", .answer = *server().answer};
  const auto all = evaluated({server("a")}, {extra});
  CHECK(*figure(all, "pattern_f1").value == Approx(2.0 / 3));
  CHECK_FALSE(figure(all, "extra").met());
  CHECK(all.extra.size() == 1);
}

TEST_CASE("an axis that the truth leaves out is not counted") {
  Judged open = server();
  open.truth.patterns.clear();
  open.answer->pattern = Pattern::Noisy;
  const auto all = evaluated({open});
  CHECK(figure(all, "pattern_f1").n == 0);
  CHECK(figure(all, "writer_f1").n == 1);
  CHECK(all.mistakes.empty());
}

TEST_CASE("any answer that the truth accepts is right") {
  Judged either = server();
  either.truth.patterns = {Pattern::LineWriter, Pattern::OfficialMta};
  CHECK(*figure(evaluated({either}), "pattern_f1").value == 1);
}

TEST_CASE("the writer of less than three segments is not counted") {
  Judged shorter = server();
  shorter.truth.segments = 2;
  shorter.answer->writer = Writer::Lines;
  const auto all = evaluated({shorter});
  CHECK(figure(all, "writer_f1").n == 0);
  CHECK(all.mistakes.empty());
}

TEST_CASE("the right answer for one segment is indistinct") {
  Judged one = server();
  one.truth.segments = 1;
  one.truth.patterns = {Pattern::Indistinct};
  CHECK(*figure(evaluated({one}), "one_segment").value == 0);
  one.answer->pattern = Pattern::Indistinct;
  CHECK(*figure(evaluated({one}), "one_segment").value == 1);
}

TEST_CASE("a block size is right if the program has it") {
  const auto all = evaluated({block_writer(4096), block_writer(8192), server()});
  CHECK(figure(all, "block_right").n == 2);
  CHECK(*figure(all, "block_right").value == Approx(0.5));
  REQUIRE(all.mistakes.size() == 1);
  CHECK(offline::print_mistake(all.mistakes[0]) == "block 8192 instead of 4096");
}

TEST_CASE("clean links are also counted separately") {
  Judged lossy = server();
  lossy.truth.link = "loss2";
  lossy.answer->writer = Writer::Lines;
  const auto all = evaluated({server(), lossy});
  CHECK(*figure(all, "writer_f1_clean").value == 1);
  CHECK(*figure(all, "writer_f1").value == Approx(2.0 / 3));
  REQUIRE(all.links.size() == 2);
  CHECK(all.links[1].link == "loss2");
  CHECK_FALSE(offline::is_clean("satellite"));
}

TEST_CASE("TLS is counted separately, and compared with the same program in clear") {
  Judged secret = server("b");
  secret.truth.tls = true;
  secret.truth.sender = "postfix-tls";
  secret.answer->pattern = Pattern::Unobserved;
  Judged other = server("c");
  other.truth.sender = "exim";
  const auto all = evaluated({server("a"), secret, other});
  CHECK(*figure(all, "pattern_f1").value == 1);
  CHECK(*figure(all, "tls_pattern_f1").value == 0);
  CHECK(all.tls.messages == 1);
  CHECK(all.twins.messages == 1);
}

TEST_CASE("an official MTA with an alarm is listed") {
  Judged bot = server("bot");
  bot.answer->pattern = Pattern::BotHeadersApart;
  Judged deferred = server("deferred");
  deferred.answer->score = Policy{}.tempfail;
  Judged refused = server("refused");
  refused.answer->score = Policy{}.reject;
  Judged library = bot;
  library.truth.sender_class = "library";
  const auto all = evaluated({server(), bot, library, deferred, refused});
  CHECK(*figure(all, "official_bot").value == 1);
  CHECK(*figure(all, "official_tempfail").value == 2);
  CHECK(*figure(all, "official_reject").value == 1);
  CHECK(all.official_alarms.size() == 3);
  REQUIRE(all.alarms.size() == 2);
  CHECK(all.alarms[0].sender_class == "official-mta");
  CHECK(all.alarms[1].bot.hits == 1);
}

TEST_CASE("a gait is right if the book says that it stands for the program") {
  Judged relay = server();
  relay.truth.sender = "exim-relay";
  relay.truth.link = "loss2";
  relay.answer->gait = "exim";
  Judged wrong = relay;
  wrong.answer->gait = "qmail";
  Judged undecided = relay;
  undecided.truth.link = "base";
  undecided.answer->gait = "unknown";
  Judged stranger = server();  // not in the book: neither right nor wrong
  stranger.answer->gait_left_out = "exim";
  Judged brief = wrong;
  brief.truth.bytes = 4999;
  const auto all = evaluated({relay, wrong, undecided, stranger, brief}, {}, kExims);
  CHECK(all.clear.gait.n == 3);
  CHECK(all.clear.gait.hits == 1);
  CHECK(all.clear.gait_elsewhere.n == 2);
  CHECK(all.clear.gait_unknown.hits == 1);
  // A short message with a wrong name, and one of a program that is not in the book.
  CHECK(all.wrong_names.known.n == 5);
  CHECK(all.wrong_names.known.hits == 3);
  CHECK(all.wrong_names.left_out.hits == 1);
  CHECK_FALSE(figure(all, "gait_wrong_left_out").met());
  REQUIRE(all.gaits_left_out.size() == 1);
  CHECK(all.gaits_left_out[0].answer == "exim");
  REQUIRE(all.gait_mistakes.size() == 2);
  CHECK(all.gait_mistakes[0].sender == "exim-relay");
  CHECK(all.gait_mistakes[0].answer == "qmail");
}

TEST_CASE("a class in place of a name is right if a gait of the sender has it") {
  using classifier::GaitClass;
  Judged right = server();
  right.truth.sender = "exim-relay";
  right.answer->gait = "unknown";
  right.answer->gait_class = GaitClass::OfficialMta;
  Judged wrong = right;
  wrong.answer->gait_class = GaitClass::Library;
  Judged stranger = right;  // of a program that is not in the book
  stranger.truth.sender = "nobody";
  Judged silent = right;
  silent.answer->gait_class.reset();
  const auto all = evaluated({right, wrong, stranger, silent}, {}, kExims);
  CHECK(all.classes.n == 3);
  CHECK(all.classes.hits == 1);
  CHECK(all.wrong_names.known.hits == 0);
  CHECK(*figure(all, "class_right").value == Approx(1.0 / 3));
}

TEST_CASE("the worst mistake is the wrong pattern with the highest confidence") {
  Judged sure = server("sure");
  sure.answer->pattern = Pattern::Noisy;
  sure.answer->confidence = 0.8;
  Judged unsure = sure;
  unsure.truth.file = "unsure";
  unsure.answer->confidence = 0.3;
  Judged axis = server("axis");  // its pattern is right
  axis.answer->path = PathShape::Noisy;
  axis.answer->confidence = 0.99;
  const auto all = evaluated({axis, unsure, sure});
  REQUIRE(all.mistakes.size() == 3);
  CHECK(all.mistakes[0].truth.file == "sure");
  CHECK(all.mistakes[1].truth.file == "unsure");
  CHECK(all.mistakes[2].truth.file == "axis");
  CHECK(offline::print_mistake(all.mistakes[1]) == "noisy instead of official-mta");
}

TEST_CASE("the JSON form has figures by name, and null where nothing was measured") {
  const auto json = nlohmann::json::parse(offline::print_json(evaluated({block_writer(8192)})));
  CHECK(json["messages"] == 1);
  for (const auto& one : json["figures"]) {
    if (one["name"] == "block_right") CHECK(one["value"] == 0.0);
    if (one["name"] == "tls_path_f1") CHECK(one["value"].is_null());
  }
  CHECK(json["mistakes"][0]["wrong"] == nlohmann::json::array({"block"}));
  CHECK(json["mistakes"][0]["truth"]["writer"] == "blocks");
}

TEST_CASE("the page needs no other file and escapes text from files") {
  Judged odd = server("<script>alert(1)</script>");
  odd.answer->pattern = Pattern::Noisy;
  const std::string page = offline::print_html(evaluated({odd, server()}));
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(page.find("&lt;script&gt;") != std::string::npos);
  CHECK(page.find("http:") == std::string::npos);
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.ends_with("</html>\n"));
}

TEST_CASE("the text names mistakes with their trace") {
  Judged wrong = server("x.pcap");
  wrong.answer->pattern = Pattern::Noisy;
  const std::string text = offline::print_text(evaluated({wrong}));
  CHECK(text.find("x.pcap #1 (postfix, base): noisy instead of official-mta, confidence 0.97\n"
                  "    segmilter/1 seg=1448x3,856\n") != std::string::npos);
}

TEST_CASE("in a file of traces the line is the message's number") {
  const Folder folder;
  folder.write("b.trace",
               "# comment\n\nsegmilter/1 mss=1448 seg=1448x9,200pn\nsegmilter/1 seg=900pn\n");
  const auto truth =
      folder.write("T.tsv", std::string(kColumns) +
                                "b.trace\t3\tpostfix\tofficial-mta\tbase\tk20\tn\tn\t"
                                "10\t13232\tstream\tfull\tofficial-mta\t\n"
                                "b.trace\t4\tpostfix\tofficial-mta\tbase\tk1\tn\tn\t"
                                "1\t900\t*\t*\tindistinct\t\n");
  const auto printed = run(
      {.truth = truth, .folder = folder.path(), .format = offline::EvaluateOptions::Format::Json},
      no_capture);
  CHECK(printed.code == EX_OK);
  const auto json = nlohmann::json::parse(printed.text);
  CHECK(json["clear"]["pattern"]["accuracy"]["hits"] == 2);
}

TEST_CASE("messages of a capture are numbered in their order and matched with the truth") {
  const Folder folder;
  const auto two = [](const std::string& file, const offline::Options&,
                      const offline::OnResult& on_result) {
    for (int i = 0; i < 2; ++i) on_result({.file = file, .message = 1});  // two sessions
    return offline::Outcome{};
  };
  const std::vector<TruthRow> truth = {{.file = "a.pcap", .message = 1, .link = "lan", .tls = true},
                                       {.file = "a.pcap", .message = 3}};
  const auto reading = offline::read_files({.folder = folder.path()}, truth, two, nullptr);
  REQUIRE(reading.judged.size() == 2);
  CHECK(reading.judged[0].answer.has_value());
  CHECK_FALSE(reading.judged[1].answer.has_value());
  REQUIRE(reading.extra.size() == 1);
  CHECK(reading.extra[0].message == 2);
  CHECK(reading.extra[0].link == "lan");
  CHECK(reading.extra[0].tls);
}

TEST_CASE("a program behind a relay is still that program") {
  const std::vector<std::string> programs = {"postfix", "haproxy-tcp+fsock"};
  CHECK(offline::stands_for(programs, "postfix"));
  CHECK(offline::stands_for(programs, "postfix+socat"));
  CHECK(offline::stands_for(programs, "haproxy-tcp+fsock"));
  CHECK_FALSE(offline::stands_for(programs, "haproxy-tcp"));
  CHECK_FALSE(offline::stands_for(programs, "postfix-relay"));
  CHECK_FALSE(offline::stands_for(programs, "socat+postfix"));
}

TEST_CASE("the exit code depends on the reading, not on the answers") {
  const Folder folder;
  const std::string row =
      "\t1\tpostfix\tofficial-mta\tbase\tk20\tn\tn\t10\t13232\tstream\tfull\tnoisy\t\n";
  folder.write("good.trace", "segmilter/1 mss=1448 seg=1448x9,200pn\n");
  folder.write("bad.trace", "segmilter/1 mss=1448 seg=1448x9,200pn\nsegmilter/2\n");
  const auto code = [&](const std::string& table) {
    const auto truth = folder.write("T.tsv", table);
    return run({.truth = truth, .folder = folder.path()}, no_capture).code;
  };
  CHECK(code(kColumns + ("good.trace" + row)) == EX_OK);
  CHECK(code(kColumns + ("bad.trace" + row)) == 1);
  CHECK(code(kColumns + ("good.trace" + row) + ("gone.pcap" + row)) == 1);
  CHECK(code(kColumns + ("gone.trace" + row)) == EX_NOINPUT);
  CHECK(code("file\n") == EX_DATAERR);
  CHECK(run({.truth = folder.path() + "/none", .folder = folder.path()}, no_capture).code ==
        EX_NOINPUT);
  const auto truth = folder.write("T.tsv", kColumns + ("good.trace" + row));
  CHECK(run({.truth = truth, .folder = truth}, no_capture).code == EX_NOINPUT);
}
