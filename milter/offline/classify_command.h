// `segmilter classify`: reads captures and traces, prints what was recognised. One thread.
#pragma once

#include <string>
#include <vector>

#include "classifier/classify.h"

namespace offline {

struct ClassifyOptions {
  enum class Format { Text, Jsonl, Html };
  Format format = Format::Text;
  std::vector<std::string> files;  // "-" is standard input
  classifier::Policy policy;
};

// Results go to standard output; warnings, and progress when it is a terminal, to standard error.
// Exit codes: 0 all was read; 1 a file is damaged (what could be read was printed), or cannot be
// read while others could; 66 nothing could be read; 74 standard output cannot be written.
int classify_command(const ClassifyOptions& options);

}  // namespace offline
