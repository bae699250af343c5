// `segmilter evaluate`: classifies the files that a table of truth lists and reports how many
// answers are right. One thread.
//
// A file whose name ends in .trace has one trace on each line, and a message's number is the number
// of its line. So the same command can judge a corpus without captures (tests/data/corpus). Every
// other file is a capture; its messages are numbered in the order in which they end.
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
  std::string folder;  // the folder with the truth's files
  Format format = Format::Text;
  classifier::Policy policy;
};

// Reads one capture: classify_file, or a test's replacement for it.
using ReadCapture =
    std::function<Outcome(const std::string& file, const Options&, const OnResult&)>;

// Prints the evaluation on standard output, warnings on standard error, and the progress there too
// if it is a terminal. Exit codes: 0 everything was read, right or wrong answers do not matter; 1 a
// file was missing or damaged, or messages were missing or too many (the figures count them as
// wrong); 65 the truth is malformed; 66 the truth or the folder cannot be read, or no file of the
// truth could be read; 74 standard output cannot be written.
int evaluate_command(const EvaluateOptions& options, const ReadCapture& read_capture);

// The messages of the truth's files, matched with the truth by file and number.
struct Reading {
  std::vector<Judged> judged;
  std::vector<Extra> extra;
  std::vector<std::string> warnings;  // each is one line
  std::size_t files = 0;
  std::size_t unreadable = 0;
};

// `progress` is called before each file with the number of files that are done and the number of
// all files; it may be empty.
Reading read_files(const EvaluateOptions& options, const std::vector<TruthRow>& truth,
                   const ReadCapture& read_capture,
                   const std::function<void(std::size_t, std::size_t)>& progress);

}  // namespace offline
