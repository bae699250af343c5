// `segmilter evaluate`: classifies the files that a table of truth names and says how right the
// answers are. One thread.
//
// A file whose name ends in .trace holds a trace a line, and a message's number is its line: so
// that a corpus without captures (tests/data/corpus) is judged by the same command. Every other
// file is a capture; its messages are numbered in the order in which they end.
#pragma once

#include <functional>
#include <string>

#include "classifier/classify.h"
#include "milter/offline/evaluate.h"
#include "milter/offline/offline.h"

namespace offline {

struct EvaluateOptions {
  enum class Format { Text, Json, Html };
  std::string truth;
  std::string folder;  // where the truth's files are
  Format format = Format::Text;
  classifier::Policy policy;
};

// How captures are read: classify_file, or a test's stand-in.
using ReadCapture =
    std::function<Outcome(const std::string& file, const Options&, const OnResult&)>;

// Prints the evaluation on standard output; progress, when it is a terminal, and warnings on
// standard error. Exit codes: 0 all was read, however right the answers; 1 a file was missing or
// damaged, or messages were missing or too many: the figures count them as wrong; 65 the truth is
// malformed; 66 truth or folder cannot be read, or no file of the truth could; 74 output.
int evaluate_command(const EvaluateOptions& options, const ReadCapture& read_capture);

// What was read of the truth's files, joined by file and message.
struct Reading {
  std::vector<Judged> judged;
  std::vector<Extra> extra;
  std::vector<std::string> warnings;  // a line each
  std::size_t files = 0;
  std::size_t unreadable = 0;
};

// `progress` is called before each file with the files done and their number; it may be empty.
Reading read_files(const EvaluateOptions& options, const std::vector<TruthRow>& truth,
                   const ReadCapture& read_capture,
                   const std::function<void(std::size_t, std::size_t)>& progress);

}  // namespace offline
