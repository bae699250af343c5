#include "milter/cli/help.h"

#include <memory>

#include "milter/cli/help_layout.h"

namespace cli {
namespace {

// What follows the options in the help of a command: examples, exit codes, and where the manual is.
// tests/milter/cli/manual_test.py runs each line that is a command.
struct Examples {
  const char* command;  // empty: the help of the program itself
  const char* text;
};
constexpr Examples kExamples[] = {
    {"", R"(
Examples:
  segmilter check                       is the configuration right?
  segmilter doctor                      what is wrong in the running system?
  segmilter run                         run the service
  segmilter classify mail.pcap          label the messages in a capture

Each command has its own help: segmilter classify --help
Exit codes (sysexits.h): 0 good; 1 something is wrong or damaged; 64 wrong
usage; 66 no input; 69 an address is taken; 77 a right is missing; 78 wrong
configuration. More: segmilter(8), segmilter.toml(5).
)"},
    {"run", R"(
Examples:
  segmilter run                         as the systemd unit does
  segmilter run -c ./segmilter.toml     with another configuration

The signal TERM, or Ctrl-C, lets open sessions finish and then stops; a second
one stops at once. HUP reads the configuration again. USR2 starts the upgraded
program.
Exit codes: 0 ended by a signal; 69 an address is taken, or the kernel filter
cannot be loaded; 71 a system call failed; 77 a right is missing; 78 wrong
configuration. More: segmilter-run(8).
)"},
    {"proxy", R"(
Example:
  segmilter proxy -c ./segmilter.toml   run only the proxy, until Ctrl-C

Exit codes: those of segmilter run. More: segmilter-run(8).
)"},
    {"wire", R"(
Example:
  segmilter wire -c ./segmilter.toml    run only the observer, until Ctrl-C

Exit codes: those of segmilter run. More: segmilter-run(8).
)"},
    {"filter", R"(
Example:
  segmilter filter -c ./segmilter.toml  run only the filter, until Ctrl-C

Exit codes: those of segmilter run. More: segmilter-run(8).
)"},
    {"desk", R"(
Example:
  segmilter desk -c ./segmilter.toml    run only the desk, until Ctrl-C

Exit codes: those of segmilter run. More: segmilter-desk(8).
)"},
    {"memory", R"(
Example:
  segmilter memory -c ./segmilter.toml  run only the memory, until Ctrl-C

Exit codes: those of segmilter run. More: segmilter-run(8).
)"},
    {"check", R"(
Examples:
  segmilter check                       is the configuration right?
  segmilter check --print               every setting with its value

Exit codes: 0 the configuration is right; 78 it is wrong, and one line says
where: FILE:LINE: SETTING: REASON. More: segmilter-check(8), segmilter.toml(5).
)"},
    {"nft", R"(
Examples:
  segmilter nft | nft -f -              send proxy.tproxy_ports to the proxy
  segmilter nft --routing | sh -e       add the routing rule that they need
  segmilter nft --remove | nft -f -     remove the rules

Exit codes: 0; 78 wrong configuration, or proxy.tproxy_ports is not set.
More: segmilter-nft(8).
)"},
    {"doctor", R"(
Examples:
  segmilter doctor                      examine the running system, as root
  segmilter doctor --postfix-config /etc/postfix-in
  segmilter doctor --format json        for a program

Exit codes: 0 nothing failed; 1 something failed, and the fix is printed;
78 wrong configuration. More: segmilter-doctor(8).
)"},
    {"forget", R"(
Examples:
  segmilter forget 192.0.2.7            an address
  segmilter forget 192.0.2.0/24         a network

Run it as root or as general.user; the service may run meanwhile.
Exit codes: 0 deleted; 1 a file could not be changed; 64 neither an address
nor a network; 71 the folder cannot be read; 75 too many requests wait for the
service; 78 wrong configuration. More: segmilter-forget(8).
)"},
    {"history", R"(
WORDS: one, or several with commas; with ! before the first one, all others.

Examples:
  segmilter history                                     the newest messages
  segmilter history --pattern bot-template --since 2h   with one label
  segmilter history --client 192.0.2.0/24 --gait '!postfix'
  segmilter history --would '!none' --format csv --limit 0
A message is explained by its queue id: segmilter history 4fXyZ12abc

Exit codes: 0 good; 1 a file was skipped, or no message has that queue id;
64 wrong usage; 66 there is no store; 77 this user may not read it.
More: segmilter-history(1).
)"},
    {"report", R"(
WORDS: one, or several with commas; with ! before the first one, all others.

Examples:
  segmilter report                                   of the last 48 hours
  segmilter report --since 14d --pattern '!official-mta'
  segmilter report --format html > report.html       a page with plots
  segmilter report --from 2026-11-26 --to 2026-11-27 --format csv > day.csv

Exit codes: 0 good; 1 a file was skipped; 64 wrong usage; 66 there is no
store; 77 this user may not read it. More: segmilter-report(1).
)"},
    {"classify", R"(
Examples:
  segmilter classify mail.pcap                             a table
  segmilter classify --format html mail.pcap > mail.html   a page with pictures
  segmilter classify --format jsonl *.pcap                 for a program
  tcpdump -i eth0 -U -w - port 25 | segmilter classify -   while mail arrives

Exit codes: 0 all was read; 1 a file is damaged, or was not read to its end;
66 nothing can be read; 74 the output cannot be written.
More: segmilter-classify(1), segmilter-header(5), segmilter-trace(5).
)"},
    {"evaluate", R"(
Examples:
  segmilter evaluate --truth TRUTH.tsv captures
  segmilter evaluate --truth TRUTH.tsv --format html captures > report.html

Exit codes: 0 all was read, even if answers are wrong; 1 files or messages
are missing or damaged; 65 the table is malformed; 66 nothing can be read;
74 the output cannot be written. More: segmilter-evaluate(1).
)"},
    {"gait", R"(
Examples:
  segmilter gait --list                    the known programs
  segmilter gait --learn acme mail.pcap    an entry for another program

Exit codes: 0; 1 a file is damaged; 64 no entry may have this name; 65 the
messages have too little in common; 66 nothing can be read.
More: segmilter-gait(1), segmilter-gait(5).
)"},
    {"version", R"(
Example:
  segmilter version                     for a report of a fault

Exit codes: 0. More: segmilter(8).
)"},
};

}  // namespace

void define_help(CLI::App& app) {
  const auto formatter = std::make_shared<HelpLayout>();
  app.formatter(formatter);
  for (auto* command : app.get_subcommands({})) {
    command->formatter(formatter);
  }
  for (const auto& [command, text] : kExamples) {
    (*command == '\0' ? &app : app.get_subcommand(command))->footer(text);
  }
}

}  // namespace cli
