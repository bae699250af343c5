// segmilter, a program of a few processes. Where to read on:
//
//     cli/         the commands
//     config/      the settings
//     supervisor/  `run`: opens sockets, drops rights, starts and restarts the other two
//     proxy/       the process in the mail's path: moves bytes and observes, with
//     capture/       the kernel's view of the segments, and
//     evidence/      the table and socket where the filter asks what was seen
//     filter/      the milter: asks, has ../classifier judge, labels or rejects
#include "milter/cli/cli.h"

int main(int argc, char** argv) {
  return cli::run(argc, argv);
}
