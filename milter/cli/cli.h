// The command line: which of the program's processes is to run, or a look at its configuration.
#pragma once

namespace cli {

// Returns the exit code: 0, or one of sysexits.h after one line "segmilter: …" on standard error.
int run(int argc, char** argv);

}  // namespace cli
