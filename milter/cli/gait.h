// `segmilter gait`: lists the book of gaits, or makes an entry for a program that is not in it.
#pragma once

#include <string>
#include <vector>

#include "classifier/gait.h"

namespace cli {

struct GaitOptions {
  bool list = false;
  std::string learn;               // the new entry's name
  std::vector<std::string> files;  // captures or traces of only that program
};

// Returns the exit code: 0; 64 the name is not permitted in the book; 66 no message could be read;
// 65 the messages have too little in common for an entry; 1 a file was damaged, but an entry was
// made.
int gait(const GaitOptions& options, const classifier::GaitBook& book);

}  // namespace cli
