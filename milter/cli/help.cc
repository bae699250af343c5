#include "milter/cli/help.h"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace cli {
namespace {

// tests/milter/cli/manual_test.py runs each line that is a command.
struct Examples {
  const char* command;  // empty: the help of the program itself
  const char* text;
};
constexpr Examples kExamples[] = {
    {"", R"(
Examples:
  segmilter check                        check the configuration (exit 0 or 78)
  segmilter doctor                       find what is wrong in the running system, and how to fix it
  segmilter run                          run the service: proxy and filter under a supervisor
  segmilter classify mail.pcap           label the messages in a capture
Each command has its own examples: segmilter classify --help

Signals to `run`: TERM or INT lets open sessions finish and then stops; a second one stops at once. HUP reads
the configuration again.
Exit codes are those of sysexits.h: 64 wrong usage, 66 no input, 69 an address or the kernel filter is not
available, 77 not permitted, 78 wrong configuration. More: segmilter(8), segmilter.toml(5).
)"},
    {"run", R"(
Examples:
  segmilter run                          with /etc/segmilter/segmilter.toml, as the systemd unit does
  segmilter run -c ./segmilter.toml      with another configuration, logging to the terminal
)"},
    {"proxy", R"(
Example:
  segmilter proxy -c ./segmilter.toml    run only the proxy, until Ctrl-C
)"},
    {"wire", R"(
Example:
  segmilter wire -c ./segmilter.toml     run only the wire observer, until Ctrl-C
)"},
    {"filter", R"(
Example:
  segmilter filter -c ./segmilter.toml   run only the filter, until Ctrl-C
)"},
    {"desk", R"(
Example:
  segmilter desk -c ./segmilter.toml     serves the pages of [desk] and [memory], until Ctrl-C
)"},
    {"memory", R"(
Example:
  segmilter memory -c ./segmilter.toml   looks after the files of the store, until Ctrl-C
)"},
    {"check", R"(
Examples:
  segmilter check                        exit 0, or exit 78 and one line that says what is wrong
  segmilter check --print                print every setting with the value that is used
)"},
    {"nft", R"(
Examples:
  segmilter nft | nft -f -               send proxy.tproxy_ports to the proxy while it listens
  segmilter nft --routing | sh -e        add the routing rule that the firewall's rules need
  segmilter nft --remove | nft -f -      remove the rules
)"},
    {"doctor", R"(
Examples:
  segmilter doctor                                       examine the running system, as root
  segmilter doctor --postfix-config /etc/postfix-in      with the Postfix that has its main.cf there
  segmilter doctor --format json                         print JSON, for a program
)"},
    {"forget", R"(
Examples:
  segmilter forget 192.0.2.7             as root or general.user, while the service runs or not
  segmilter forget 192.0.2.0/24          a network

Exit codes: 0; 1 a file could not be changed; 64 neither an address nor a network; 71 the folder cannot be read.
)"},
    {"history", R"(
Examples:
  segmilter history                                          the last messages, newest first
  segmilter history --pattern bot-template --since 2h        with one label
  segmilter history --client 192.0.2.0/24 --gait '!postfix'  of one network, but not of one program
  segmilter history --would '!none' --format csv --limit 0   all for which something was asked, as CSV
A message is explained by its queue id: segmilter history 4fXyZ12abc

Exit codes: 0; 1 a file was passed over, or no message has that queue id; 64 wrong usage; 66 there is no store;
77 this user may not read it. More: segmilter-history(1).
)"},
    {"report", R"(
Examples:
  segmilter report                                           of the last 48 hours
  segmilter report --since 14d --pattern '!official-mta'     of two weeks, without one pattern
  segmilter report --format html > report.html               a page with plots
  segmilter report --from 2026-11-26 --to 2026-11-27 --format csv > day.csv

Exit codes: 0; 1 a file was passed over; 64 wrong usage; 66 there is no store; 77 this user may not read it.
More: segmilter-report(1).
)"},
    {"classify", R"(
Examples:
  segmilter classify mail.pcap                               print a table
  segmilter classify --format html mail.pcap > mail.html     make a page with a picture of each message
  segmilter classify --format jsonl *.pcap                   print a JSON object for each message
  tcpdump -i eth0 -U -w - port 25 | segmilter classify -     print each message when it arrives

Exit codes: 0 all was read; 1 a file is damaged, or was not read to its end; 66 nothing can be read; 74 the
output cannot be written. More: segmilter-classify(1).
)"},
    {"evaluate", R"(
Examples:
  segmilter evaluate --truth TRUTH.tsv captures          the folder captures has the table's files
  segmilter evaluate --truth TRUTH.tsv --format html captures > evaluation.html

Exit codes: 0 all was read, even if answers are wrong; 1 files or messages are missing or damaged; 65 the
table is malformed; 66 nothing can be read; 74 the output cannot be written. More: segmilter-evaluate(1).
)"},
    {"gait", R"(
Examples:
  segmilter gait --list                  list the known programs
  segmilter gait --learn acme mail.pcap  print an entry for another program, for a file of [gaits]
)"},
};

// Prints types as manuals do. CLI11 prints its own names: "TEXT:{text,json}=text", "UINT:INT in
// [1 - 8]".
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";  // a flag
    auto text = " " + type_of(option->get_type_name());
    if (option->get_expected_max() == CLI::detail::expected_max_vector_size) text += " ...";
    if (option->get_required() && !option->get_positional()) text += " (required)";
    const auto fallback = option->get_default_str();
    if (!fallback.empty()) text += fmt::format(" (default {})", fallback);
    return text;
  }

 private:
  static std::string type_of(const std::string& name) {
    const auto colon = name.find(':');
    const auto check = colon == name.npos ? "" : name.substr(colon + 1);
    if (check.starts_with('{') && check.ends_with('}')) return choices(check);
    const auto type = name.substr(0, colon);
    if (type == "UINT" || type == "INT") return "N" + range(check);
    return type;
  }

  // "{text,json}" → "text|json".
  static std::string choices(std::string names) {
    names = names.substr(1, names.size() - 2);
    for (auto& c : names) {
      if (c == ',') c = '|';
    }
    return names;
  }

  // "INT in [1 - 8]" → " (1 to 8)".
  static std::string range(const std::string& check) {
    const auto open = check.find('[');
    const auto dash = check.find(" - ", open);
    const auto close = check.find(']', dash);
    if (close == check.npos) return "";
    return fmt::format(" ({} to {})", check.substr(open + 1, dash - open - 1),
                       check.substr(dash + 3, close - dash - 3));
  }
};

}  // namespace

void define_help(CLI::App& app) {
  const auto formatter = std::make_shared<HelpFormatter>();
  app.formatter(formatter);
  for (auto* command : app.get_subcommands({})) {
    command->formatter(formatter);
    command->footer("");
  }
  for (const auto& [command, text] : kExamples) {
    (*command == '\0' ? &app : app.get_subcommand(command))->footer(text);
  }
}

}  // namespace cli
