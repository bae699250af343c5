#include "milter/cli/help.h"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace cli {
namespace {

// Every line is a command that tests/milter/cli/manual_test.py runs.
struct Examples {
  const char* command;  // empty: the program's own
  const char* text;
};
constexpr Examples kExamples[] = {
    {"", R"(
Examples:
  segmilter check                        is the configuration right? (exit 0 or 78)
  segmilter doctor                       is the running system right, and if not, what mends it
  segmilter run                          the service: proxy and filter, supervised
  segmilter classify mail.pcap           how were the messages in this capture sent
Each command has examples of its own: segmilter classify --help

Signals to `run`: TERM or INT drains and ends (twice: at once), HUP reads the configuration again.
Exit codes are those of sysexits.h: 64 usage, 66 no input, 69 an address or the kernel filter cannot be had,
77 not permitted, 78 configuration. More: segmilter(8), segmilter.toml(5).
)"},
    {"run", R"(
Examples:
  segmilter run                          with /etc/segmilter/segmilter.toml, as the systemd unit does
  segmilter run -c ./segmilter.toml      with another configuration, logging to the terminal
)"},
    {"proxy", R"(
Example:
  segmilter proxy -c ./segmilter.toml    the proxy alone, until Ctrl-C
)"},
    {"wire", R"(
Example:
  segmilter wire -c ./segmilter.toml     the wire observer alone, until Ctrl-C
)"},
    {"filter", R"(
Example:
  segmilter filter -c ./segmilter.toml   the filter alone, until Ctrl-C
)"},
    {"memory", R"(
Example:
  segmilter memory -c ./segmilter.toml   looks after the files of the store, until Ctrl-C
)"},
    {"check", R"(
Examples:
  segmilter check                        exit 0, or 78 and a line that says what is wrong
  segmilter check --print                every setting with the value that counts
)"},
    {"nft", R"(
Examples:
  segmilter nft | nft -f -               send proxy.tproxy_ports to the proxy while it listens
  segmilter nft --routing | sh -e        the routing rule that goes with it
  segmilter nft --remove | nft -f -      take the rules away again
)"},
    {"doctor", R"(
Examples:
  segmilter doctor                                       as root, on the running system
  segmilter doctor --postfix-config /etc/postfix-in      of a Postfix with another main.cf
  segmilter doctor --format json                         for a program
)"},
    {"forget", R"(
Examples:
  segmilter forget 192.0.2.7             as root or general.user, while the service runs or not
  segmilter forget 192.0.2.0/24          a network

Exit codes: 0; 1 a file could not be changed; 64 neither an address nor a network; 71 the folder cannot be read.
)"},
    {"classify", R"(
Examples:
  segmilter classify mail.pcap                               a table
  segmilter classify --format html mail.pcap > mail.html     a page with a picture of each message
  segmilter classify --format jsonl *.pcap                   a JSON object for each message
  tcpdump -i eth0 -U -w - port 25 | segmilter classify -     as the messages come

Exit codes: 0; 1 a file is damaged, or was not read to its end; 66 nothing can be read; 74 the output
cannot be written. More: segmilter(8), CLASSIFYING CAPTURES.
)"},
    {"evaluate", R"(
Examples:
  segmilter evaluate --truth TRUTH.tsv captures          captures is the folder of the table's files
  segmilter evaluate --truth TRUTH.tsv --format html captures > evaluation.html

Exit codes: 0 all was read, however right the answers; 1 files or messages are missing; 65 the table is
malformed; 66 nothing can be read; 74 the output cannot be written. More: segmilter(8), EVALUATION.
)"},
    {"gait", R"(
Examples:
  segmilter gait --list                  the programs that are known
  segmilter gait --learn acme mail.pcap  an entry for one that is not, to go into [gaits] files
)"},
};

// CLI11 writes types as it names them: "TEXT:{text,json}=text", "UINT:INT in [1 - 8]".
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
