// segmilter is one program that runs as several processes. This file only calls the command line.
// Where to read on:
//
//     cli/         the commands
//     config/      the settings
//     supervisor/  `run`: opens sockets, drops rights, starts and restarts the children. They are
//                  rows of a table (supervisor/children.h):
//     proxy/         in the path of the mail: moves bytes and observes the client; or
//     wire/          beside the path of the mail: observes the packets of Postfix's own port
//     filter/        the milter: asks what was observed, classifies, labels or rejects
//     memory/        writes what was judged into the store, and learns reputations from it
//     desk/          serves web pages, and the counters of all processes, over HTTP
//     capture/     used by proxy and wire: how the kernel shows the segments
//     evidence/    used by proxy and wire: the table and the socket where the filter asks
//     ../classifier/  used by the filter: from evidence to a verdict
//
// README.md in this folder names all folders.
#include "milter/cli/cli.h"

int main(int argc, char** argv) {
  return cli::run(argc, argv);
}
