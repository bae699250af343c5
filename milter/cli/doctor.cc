#include "milter/cli/doctor.h"

#include "milter/doctor/doctor.h"

namespace cli {

void define_doctor(CLI::App& command, DoctorArguments& arguments) {
  command
      .add_option("--postfix-config", arguments.postfix_config,
                  "folder of Postfix's main.cf and master.cf (default that of postconf)")
      ->type_name("DIR");
  command.add_option("--format", arguments.format, "form of the output")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

int examine(const config::Config& config, const std::string& file,
            const DoctorArguments& arguments) {
  using Format = doctor::Options::Format;
  return doctor::examine(config,
                         {.config_file = file,
                          .postfix_config = arguments.postfix_config,
                          .format = arguments.format == "json" ? Format::Json : Format::Text});
}

}  // namespace cli
