// The command line of segmilter: it starts the service or a part of it, examines the configuration
// or the system, or classifies recorded mail.
#pragma once

namespace cli {

// Runs the command that the arguments name. Returns the exit code: 0, or after one line
// "segmilter: …" on standard error a code of sysexits.h. Some commands return 1 too (doctor.h,
// classify_command.h, evaluate_command.h, gait.h).
int run(int argc, char** argv);

}  // namespace cli
