// `segmilter classify`: reads captures, traces and logs, and prints the label of each message.
// Several files can be read at the same time, each by its own thread; one thread prints.
#pragma once

#include <string>
#include <vector>

#include "classifier/classify.h"
#include "milter/config/config.h"
#include "milter/offline/report.h"

namespace offline {

struct ClassifyOptions {
  enum class Format { Text, Jsonl, Html };
  Format format = Format::Text;
  SortBy sort = SortBy::Capture;   // the order of the HTML page's overview
  std::vector<std::string> files;  // "-" is standard input
  classifier::Policy policy;
  config::Enforcement enforcement;
  unsigned jobs = 1;  // how many files are read at the same time; at least 1
};

// Results go to standard output. If an input is still being written, each result is printed when
// its message ends. Warnings go to standard error, and so does the progress if that is a terminal.
// SIGINT and SIGTERM end the reading; the results up to then are printed. If the reader of standard
// output goes away, the reading ends without a message.
// Exit codes: 0 everything was read, or a pipe was read up to the signal; 1 a file is damaged, was
// not read to its end (the results up to there were printed), or cannot be read while other files
// could; 66 nothing could be read; 74 standard output cannot be written.
int classify_command(const ClassifyOptions& options);

}  // namespace offline
