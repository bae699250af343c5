#include "milter/cli/cli.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "milter/cli/classify.h"
#include "milter/cli/doctor.h"
#include "milter/cli/evaluate.h"
#include "milter/cli/gait.h"
#include "milter/cli/help.h"
#include "milter/cli/history.h"
#include "milter/cli/nft.h"
#include "milter/cli/report.h"
#include "milter/cli/versions.h"
#include "milter/config/checks.h"
#include "milter/config/load.h"
#include "milter/memory/forget.h"
#include "milter/process/setup_error.h"
#include "milter/reputation/networks.h"
#include "milter/supervisor/rights.h"
#include "milter/supervisor/supervisor.h"

namespace cli {
namespace {

constexpr const char* kDefaultFile = "/etc/segmilter/segmilter.toml";

constexpr const char* kDescription =
    "Tells Postfix how a message was sent: an SMTP proxy observes where the sender's TCP segments "
    "end, and a milter adds a header field with the name of the pattern (X-Protocol-Pattern).";

struct Options;
using Command = int (*)(const Options& options);

struct Options {
  Command command = nullptr;  // the command that was given; null: none
  std::string file = kDefaultFile;
  bool print = false;
  bool version = false;
  NftOptions nft;
  GaitOptions gait;
  std::string gait_config;  // empty: the built-in book of gaits
  ClassifyArguments classify;
  EvaluateArguments evaluate;
  DoctorArguments doctor;
  std::string forget;  // an address or a network
  HistoryArguments history;
  ReportArguments report;
};

// A missing account is an error only for root. Other users do not change their account at the
// start, so for them it is a warning.
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

// At a start a file of networks that cannot be read is left out. `check` reports it as an error.
void check_networks(const config::Config& config, const Options& options) {
  try {
    (void)reputation::Networks::read(config.reputation.networks);
  } catch (const std::runtime_error& error) {
    throw config::ConfigError(
        fmt::format("{}: reputation.networks: {}", options.file, error.what()));
  }
}

int check(const config::Config& config, const Options& options) {
  auto warnings = config::warnings(config);
  check_account(config, options, warnings);
  check_networks(config, options);
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

config::Config read_config(const Options& options) {
  return config::parse(config::read_file(options.file), options.file, config::Secrets::Read);
}

int run_service(const Options& options) {
  return supervisor::run(read_config(options), options.file);
}

int run_proxy(const Options& options) {
  return supervisor::run_alone("proxy", read_config(options), options.file);
}

int run_wire(const Options& options) {
  return supervisor::run_alone("wire", read_config(options), options.file);
}

int run_filter(const Options& options) {
  return supervisor::run_alone("filter", read_config(options), options.file);
}

int run_memory(const Options& options) {
  return supervisor::run_alone("memory", read_config(options), options.file);
}

int run_desk(const Options& options) {
  return supervisor::run_alone("desk", read_config(options), options.file);
}

int run_check(const Options& options) {
  return check(read_config(options), options);
}

int run_nft(const Options& options) {
  return nft(read_config(options), options.nft);
}

int run_doctor(const Options& options) {
  return examine(read_config(options), options.file, options.doctor);
}

int run_forget(const Options& options) {
  const auto forgotten = memory::forget(read_config(options).memory, options.forget);
  for (const auto& problem : forgotten.problems) fmt::print(stderr, "segmilter: {}\n", problem);
  fmt::print("{}: {} message{} forgotten, in {} file{}\n", options.forget, forgotten.rows,
             forgotten.rows == 1 ? "" : "s", forgotten.files, forgotten.files == 1 ? "" : "s");
  return forgotten.problems.empty() ? EX_OK : 1;
}

// The configuration without the keys of seals, which the commands about the store do not need.
config::Config read_public_config(const Options& options) {
  return config::parse(config::read_file(options.file), options.file);
}

std::string file_if_given(const Options& options) {
  return options.file == kDefaultFile ? "" : options.file;
}

int run_history(const Options& options) {
  return look_back(read_public_config(options), file_if_given(options), options.history);
}

int run_report(const Options& options) {
  return report(read_public_config(options), options.report);
}

int run_classify(const Options& options) {
  return classify(options.classify);
}

int run_evaluate(const Options& options) {
  return evaluate(options.evaluate);
}

int run_gait(const Options& options) {
  const auto book =
      options.gait_config.empty()
          ? nullptr
          : config::parse(config::read_file(options.gait_config), options.gait_config).policy.gaits;
  return gait(options.gait, book != nullptr ? *book : *classifier::GaitBook::builtin());
}

int print_versions(const Options&) {
  fmt::print("{}", versions());
  return EX_OK;
}

void define_gait(CLI::App& command, GaitOptions& options, std::string& config) {
  command
      .add_option("-c,--config", config,
                  "configuration whose [gaits] files count too (default none)")
      ->type_name("FILE.toml");
  auto* list = command.add_flag("--list", options.list,
                                "print the name, the class and the programs of each gait");
  auto* learn = command
                    .add_option("--learn", options.learn,
                                "print an entry of this name, learned from the captures")
                    ->type_name("NAME");
  auto* files =
      command
          .add_option("files", options.files,
                      "captures or lists of traces that hold only messages of that program")
          ->type_name("CAPTURE|TRACES");
  learn->excludes(list)->needs(files);
  files->needs(learn);
}

// Defines a command. The parser only notes which command was given; run() calls it after all
// arguments are parsed.
CLI::App& add(CLI::App& app, Options& options, const char* name, const char* description,
              Command command) {
  auto* added = app.add_subcommand(name, description);
  added->callback([&options, command] { options.command = command; });
  return *added;
}

// Defines a command that reads the service's configuration.
CLI::App& add_configured(CLI::App& app, Options& options, const char* name, const char* description,
                         Command command) {
  auto& added = add(app, options, name, description, command);
  added.add_option("-c,--config", options.file, "the configuration")
      ->type_name("FILE.toml")
      ->capture_default_str();
  return added;
}

void define(CLI::App& app, Options& options) {
  app.require_subcommand(0, 1);
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("segmilter: {} (see segmilter --help)\n", error.what());
  });
  app.add_flag("-V,--version", options.version,
               "print the versions of the program and of its libraries");
  app.set_help_flag("-h,--help", "print this help");
  add_configured(app, options, "run", "start the service, and keep its processes running",
                 run_service);
  add_configured(app, options, "proxy", "start only the proxy, without a supervisor", run_proxy);
  add_configured(app, options, "wire", "start only the wire observer, without a supervisor",
                 run_wire);
  add_configured(app, options, "filter", "start only the filter, without a supervisor", run_filter);
  add_configured(app, options, "memory",
                 "start only the memory, which then keeps the store within its limits", run_memory);
  add_configured(app, options, "desk", "start only the desk, which then shows the store", run_desk);
  add_configured(app, options, "check", "check the configuration, or print every setting",
                 run_check)
      .add_flag("--print", options.print, "print every setting, as TOML");
  auto& rules = add_configured(app, options, "nft",
                               "print the firewall's rules for proxy.tproxy_ports", run_nft);
  rules.add_flag("--routing", options.nft.routing,
                 "print the routing rule instead, as lines for sh -e");
  rules.add_flag("--remove", options.nft.remove, "print the commands that remove the rules");
  define_doctor(
      add_configured(app, options, "doctor",
                     "find what is wrong in the running system, and how to fix it", run_doctor),
      options.doctor);
  add_configured(app, options, "forget", "delete what is remembered about an address or a network",
                 run_forget)
      .add_option("who", options.forget, "such as 192.0.2.7, 2001:db8::7, 192.0.2.0/24")
      ->type_name("ADDRESS|NET")
      ->required();
  define_history(
      add_configured(app, options, "history",
                     "list the messages that are remembered, or explain one", run_history),
      options.history);
  define_report(
      add_configured(app, options, "report",
                     "count the messages that are remembered, in tables and plots", run_report),
      options.report);
  define_classify(add(app, options, "classify",
                      "label the messages in captures, lists of traces or logs", run_classify),
                  options.classify);
  define_evaluate(
      add(app, options, "evaluate", "measure how often the labels are right", run_evaluate),
      options.evaluate);
  define_gait(
      add(app, options, "gait", "list the programs that are known, or learn a new one", run_gait),
      options.gait, options.gait_config);
  add(app, options, "version", "print the versions of the program and of its libraries",
      print_versions);
  define_help(app);
}

int complain(int code, const std::string& what) {
  fmt::print(stderr, "segmilter: {}\n", what);
  return code;
}

// Runs the command. An exception becomes one line on standard error and an exit code.
int guarded(const Options& options) {
  try {
    return options.command(options);
  } catch (const config::ConfigError& error) {
    return complain(EX_CONFIG, error.what());
  } catch (const process::SetupError& error) {
    return complain(error.code(), error.what());
  } catch (const std::invalid_argument& error) {
    return complain(EX_USAGE, error.what());
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
  if (options.version) return print_versions(options);
  if (options.command == nullptr) {
    return complain(EX_USAGE, "no command was given (see segmilter --help)");
  }
  return guarded(options);
}

}  // namespace cli
