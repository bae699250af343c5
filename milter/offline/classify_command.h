// `segmilter classify`: reads captures, traces and logs, prints what was recognised. Several files
// are read at a time, by as many threads; one thread prints.
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
  SortBy sort = SortBy::Capture;   // the page's overview
  std::vector<std::string> files;  // "-" is standard input
  classifier::Policy policy;
  config::Enforcement enforcement;
  unsigned jobs = 1;  // files read at a time; at least 1
};

// Results go to standard output, those of an input that is still written to as its messages end;
// warnings, and progress when it is a terminal, to standard error. SIGINT and SIGTERM end the
// reading; what was read is printed. A reader of standard output that has gone ends it too, in
// silence.
// Exit codes: 0 all was read, or a pipe up to the signal; 1 a file is damaged or was not read to
// its end (what could be read was printed), or cannot be read while others could; 66 nothing could
// be read; 74 standard output cannot be written.
int classify_command(const ClassifyOptions& options);

}  // namespace offline
