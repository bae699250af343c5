#include "milter/offline/evaluate_command.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include "classifier/gait.h"
#include "classifier/trace_text.h"
#include "milter/offline/evaluate_report.h"

namespace offline {
namespace {

constexpr int kSomeFailed = 1;  // as in `classify`: the results of the other files were printed

using Answers = std::map<std::uint32_t, Answer>;  // by the message's number

Answer answer_of(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  return {.pattern = verdict.pattern,
          .writer = verdict.writer,
          .path = verdict.path,
          .block = verdict.block,
          .confidence = verdict.confidence,
          .score = verdict.score,
          .gait = verdict.gait,
          .gait_class = verdict.unnamed_class(),
          .reasons = verdict.reasons.sentences(),
          .trace = classifier::print(trace)};
}

// Reads a file of traces. Not classify_file, because that numbers messages within their sessions:
// in a corpus a message has no other name than its line.
Outcome read_traces(const std::string& file, const classifier::Policy& policy, Answers& answers) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return {.kind = Outcome::Kind::Unreadable, .warning = file + ": cannot be opened"};
  Outcome outcome;
  std::uint32_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const auto parsed = classifier::parse_trace(line);
    if (const auto* error = std::get_if<classifier::TraceError>(&parsed)) {
      outcome.kind = Outcome::Kind::Damaged;
      outcome.warning =
          fmt::format("{}:{}:{}: {}", file, number, error->offset + 1, error->message);
      continue;
    }
    const auto& trace = std::get<classifier::Trace>(parsed);
    answers.emplace(number, answer_of(trace, classifier::classify(trace, policy)));
    ++outcome.messages;
  }
  return outcome;
}

Outcome read_messages(const std::string& file, const classifier::Policy& policy,
                      const ReadCapture& read_capture, Answers& answers) {
  if (file.ends_with(".trace")) return read_traces(file, policy, answers);
  std::uint32_t number = 0;
  return read_capture(file, {.policy = policy}, [&](Result&& result) {
    answers.emplace(++number, answer_of(result.trace, result.verdict));
  });
}

// A file and its rows of the truth, in their order.
struct File {
  std::string name;
  std::vector<const TruthRow*> rows;
};

std::vector<File> by_file(const std::vector<TruthRow>& truth) {
  std::vector<File> files;
  std::map<std::string_view, std::size_t> places;
  for (const TruthRow& row : truth) {
    const auto [place, fresh] = places.emplace(row.file, files.size());
    if (fresh) files.push_back({.name = row.file});
    files[place->second].rows.push_back(&row);
  }
  return files;
}

void join(Reading& reading, const File& file, Answers&& answers) {
  for (const TruthRow* row : file.rows) {
    Judged& judged = reading.judged.emplace_back(Judged{.truth = *row});
    if (auto found = answers.extract(row->message)) judged.answer = std::move(found.mapped());
  }
  const TruthRow& first = *file.rows.front();
  for (auto& [message, answer] : answers) {
    reading.extra.push_back({.file = file.name,
                             .message = message,
                             .link = first.link,
                             .tls = first.tls,
                             .answer = std::move(answer)});
  }
}

GaitPrograms programs_of(const classifier::Policy& policy) {
  const auto& book = policy.gaits ? policy.gaits : classifier::GaitBook::builtin();
  GaitPrograms programs;
  for (const classifier::Gait& gait : book->gaits()) {
    programs[gait.name] = {.programs = gait.programs, .kind = gait.kind};
  }
  return programs;
}

// `book` without the entries that stand for `program`.
std::shared_ptr<const classifier::GaitBook> without(const classifier::GaitBook& book,
                                                    const std::string& program) {
  std::string text;
  for (const classifier::Gait& gait : book.gaits()) {
    if (stands_for(gait.programs, program)) continue;
    text += classifier::print(gait) + '\n';
  }
  auto rest = std::make_shared<classifier::GaitBook>();
  if (const auto error = rest->add(text)) {
    throw std::logic_error("a gait that was printed cannot be parsed: " + error->message);
  }
  return rest;
}

// Judges each message a second time, with a book of gaits that lacks the message's sender.
void leave_senders_out(Reading& reading, const classifier::Policy& policy) {
  const auto& book = policy.gaits ? policy.gaits : classifier::GaitBook::builtin();
  std::map<std::string, classifier::Policy> policies;
  for (Judged& judged : reading.judged) {
    if (!judged.answer) continue;
    const std::string program = program_of(judged.truth);
    const auto [place, fresh] = policies.emplace(program, policy);
    if (fresh) place->second.gaits = without(*book, program);
    const auto parsed = classifier::parse_trace(judged.answer->trace);
    // A trace that exceeds the notation's limits (TraceLimits) can be printed but not parsed.
    const auto* trace = std::get_if<classifier::Trace>(&parsed);
    if (trace == nullptr) continue;
    judged.answer->gait_left_out = classifier::classify(*trace, place->second).gait;
  }
}

std::string printed(const Evaluation& evaluation, EvaluateOptions::Format format) {
  switch (format) {
    case EvaluateOptions::Format::Text:
      return print_text(evaluation);
    case EvaluateOptions::Format::Json:
      return print_json(evaluation);
    case EvaluateOptions::Format::Html:
      return print_html(evaluation);
  }
  return {};
}

int complain(int code, const std::string& what) {
  fmt::print(stderr, "segmilter: {}\n", what);
  return code;
}

void show_progress(std::size_t done, std::size_t all) {
  fmt::print(stderr, "\r{} of {} files", done, all);
  if (done == all) fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace

Reading read_files(const EvaluateOptions& options, const std::vector<TruthRow>& truth,
                   const ReadCapture& read_capture,
                   const std::function<void(std::size_t, std::size_t)>& progress) {
  Reading reading;
  const auto files = by_file(truth);
  reading.files = files.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (progress) progress(i, files.size());
    Answers answers;
    const auto path = std::filesystem::path(options.folder) / files[i].name;
    const Outcome outcome = read_messages(path.string(), options.policy, read_capture, answers);
    if (outcome.kind == Outcome::Kind::Unreadable) ++reading.unreadable;
    if (outcome.kind != Outcome::Kind::Good) reading.warnings.push_back(outcome.warning);
    join(reading, files[i], std::move(answers));
  }
  if (progress) progress(files.size(), files.size());
  return reading;
}

int evaluate_command(const EvaluateOptions& options, const ReadCapture& read_capture) {
  std::ifstream in(options.truth, std::ios::binary);
  if (!in) return complain(EX_NOINPUT, fmt::format("{}: cannot be opened", options.truth));
  std::error_code ignored;  // a folder that cannot be examined counts as none
  if (!std::filesystem::is_directory(options.folder, ignored)) {
    return complain(EX_NOINPUT, fmt::format("{}: is not a folder", options.folder));
  }
  std::vector<TruthRow> truth;
  try {
    truth = read_truth(in, options.truth);
  } catch (const TruthError& error) {
    return complain(EX_DATAERR, error.what());
  }
  auto reading = read_files(
      options, truth, read_capture,
      isatty(STDERR_FILENO) == 1 ? show_progress : std::function<void(std::size_t, std::size_t)>());
  for (const std::string& warning : reading.warnings) {
    fmt::print(stderr, "segmilter: warning: {}\n", warning);
  }
  if (reading.unreadable == reading.files) {
    return complain(EX_NOINPUT, fmt::format("none of the files that {} lists can be read in {}",
                                            options.truth, options.folder));
  }
  leave_senders_out(reading, options.policy);
  const auto evaluation =
      evaluate(reading.judged, reading.extra, options.policy, programs_of(options.policy));
  const std::string text = printed(evaluation, options.format);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return complain(EX_IOERR, "standard output cannot be written");
  }
  const bool whole =
      reading.warnings.empty() && evaluation.missing.empty() && evaluation.extra.empty();
  return whole ? EX_OK : kSomeFailed;
}

}  // namespace offline
