#include "milter/cli/cli.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>

#include "milter/cli/classify.h"
#include "milter/cli/doctor.h"
#include "milter/cli/evaluate.h"
#include "milter/cli/gait.h"
#include "milter/cli/help.h"
#include "milter/cli/nft.h"
#include "milter/cli/versions.h"
#include "milter/config/checks.h"
#include "milter/config/load.h"
#include "milter/process/setup_error.h"
#include "milter/supervisor/rights.h"
#include "milter/supervisor/supervisor.h"

namespace cli {
namespace {

constexpr const char* kDefaultFile = "/etc/segmilter/segmilter.toml";

constexpr const char* kDescription =
    "Tells Postfix how a message was sent: an SMTP proxy sees where the sender's TCP segments end, "
    "a milter puts the pattern's name on the message (X-Protocol-Pattern).";

struct Options {
  std::string file = kDefaultFile;
  bool print = false;
  bool version = false;
  NftOptions nft;
  GaitOptions gait;
  std::string gait_config;  // empty: the entries that are compiled in
  ClassifyArguments classify;
  EvaluateArguments evaluate;
  DoctorArguments doctor;
};

void define_gait(CLI::App& app, GaitOptions& options, std::string& config) {
  auto* command = app.add_subcommand("gait", "the programs that are known by how they write");
  command->add_option("-c,--config", config, "configuration, for its [gaits] files")
      ->type_name("FILE");
  auto* list = command->add_flag("--list", options.list, "print name, class and programs");
  auto* learn = command->add_option("--learn", options.learn, "print an entry for a program, from")
                    ->type_name("NAME");
  auto* files = command->add_option("files", options.files, "captures or traces of it alone")
                    ->type_name("PCAP|TRACE");
  learn->excludes(list)->needs(files);
  files->needs(learn);
}

int run_gait(const Options& options) {
  const auto book =
      options.gait_config.empty()
          ? nullptr
          : config::parse(config::read_file(options.gait_config), options.gait_config).policy.gaits;
  return gait(options.gait, book != nullptr ? *book : *classifier::GaitBook::builtin());
}

void define(CLI::App& app, Options& options) {
  app.require_subcommand(0, 1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("segmilter: {} (see segmilter --help)\n", error.what());
  });
  app.add_flag("-V,--version", options.version, "print the version and those of the libraries");
  const auto add = [&](const char* name, const char* description) {
    auto* command = app.add_subcommand(name, description);
    command->add_option("-c,--config", options.file, "configuration file")
        ->type_name("FILE")
        ->capture_default_str();
    return command;
  };
  add("run", "start the proxy (or the wire observer) and the filter, and keep them running");
  add("proxy", "the proxy alone, in the foreground, without a supervisor");
  add("wire",
      "the wire observer alone: watches Postfix's own port, with nothing in the mail's path");
  add("filter", "the filter alone, in the foreground, without a supervisor");
  add("check", "look at the configuration: exit 0, or 78 with FILE:LINE: KEY: REASON")
      ->add_flag("--print", options.print, "print every setting, as TOML");
  auto* rules =
      add("nft", "print the firewall's rules for proxy.tproxy_ports: segmilter nft | nft -f -");
  rules->add_flag("--routing", options.nft.routing, "the routing rule instead, as lines for sh -e");
  rules->add_flag("--remove", options.nft.remove, "what takes them away again");
  define_doctor(
      *add("doctor",
           "look at the running system, Postfix included: what is wrong, and what mends it"),
      options.doctor);
  define_classify(app, options.classify);
  define_evaluate(app, options.evaluate);
  define_gait(app, options.gait, options.gait_config);
  app.add_subcommand("version", "print the version and those of the libraries");
  define_help(app);
}

// The account is missed at the start by root alone: anyone else stays who they are.
void check_account(const config::Config& config, const Options& options,
                   std::vector<std::string>& warnings) {
  try {
    (void)supervisor::find_account(config);
  } catch (const process::SetupError& error) {
    if (geteuid() == 0) {
      throw config::ConfigError(fmt::format("{}: {}", options.file, error.what()));
    }
    warnings.emplace_back(error.what());
  }
}

int check(const config::Config& config, const Options& options) {
  auto warnings = config::warnings(config);
  check_account(config, options, warnings);
  if (auto why = config::why_unobserved(config); !why.empty()) warnings.push_back(std::move(why));
  for (const auto& warning : warnings) {
    fmt::print(stderr, "segmilter: warning: {}: {}\n", options.file, warning);
  }
  if (options.print) {
    fmt::print("{}", config::print(config));
  } else {
    fmt::print("{}: ok\n", options.file);
  }
  return EX_OK;
}

int dispatch(const std::string& command, const Options& options) {
  if (command == "classify") return classify(options.classify);
  if (command == "evaluate") return evaluate(options.evaluate);
  if (command == "gait") return run_gait(options);
  auto config = config::parse(config::read_file(options.file), options.file, config::Secrets::Read);
  if (command == "check") return check(config, options);
  if (command == "nft") return nft(config, options.nft);
  if (command == "doctor") return examine(config, options.file, options.doctor);
  if (command == "proxy" || command == "wire" || command == "filter") {
    return supervisor::run_alone(command, std::move(config), options.file);
  }
  return supervisor::run(std::move(config), options.file);
}

int complain(int code, const std::string& what) {
  fmt::print(stderr, "segmilter: {}\n", what);
  return code;
}

// Runs `command`; what it throws becomes a line and a code.
int guarded(const std::string& command, const Options& options) {
  try {
    return dispatch(command, options);
  } catch (const config::ConfigError& error) {
    return complain(EX_CONFIG, error.what());
  } catch (const process::SetupError& error) {
    return complain(error.code(), error.what());
  } catch (const std::system_error& error) {
    return complain(EX_OSERR, error.what());
  } catch (const std::exception& error) {
    return complain(EX_SOFTWARE, error.what());
  }
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app(kDescription, "segmilter");
  Options options;
  define(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    (void)app.exit(error);
    return EX_USAGE;
  }
  const auto commands = app.get_subcommands();
  const auto command = commands.empty() ? "" : commands.front()->get_name();
  if (options.version || command == "version") {
    fmt::print("{}", versions());
    return EX_OK;
  }
  if (command.empty()) return complain(EX_USAGE, "a command is needed (see segmilter --help)");
  return guarded(command, options);
}

}  // namespace cli
