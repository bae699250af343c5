// `segmilter gait`: what the book of gaits holds, and an entry for a program that is not in it.
#pragma once

#include <string>
#include <vector>

#include "classifier/gait.h"

namespace cli {

struct GaitOptions {
  bool list = false;
  std::string learn;               // the new entry's name
  std::vector<std::string> files;  // captures or traces of that program alone
};

// Returns the exit code: 0; 64 for a name that may not stand in the book; 66 where nothing could be
// read; 65 where what was read has too little in common for an entry; 1 where a file was damaged
// but gave enough.
int gait(const GaitOptions& options, const classifier::GaitBook& book);

}  // namespace cli
