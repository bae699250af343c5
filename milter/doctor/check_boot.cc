// Does systemd start segmilter at boot?
#include <fmt/format.h>
#include <unistd.h>

#include "milter/config/checks.h"
#include "milter/config/load.h"
#include "milter/doctor/check.h"
#include "milter/doctor/command.h"

namespace doctor {
namespace {

constexpr std::chrono::seconds kLimit{10};

// The same test as sd_booted(3).
bool is_systemd_here() {
  return access("/run/systemd/system", F_OK) == 0;
}

std::string_view cost(const config::Config& config) {
  if (config.proxy.tproxy_ports.empty() && !config.proxy.listen.empty()) {
    return "clients are refused";
  }
  return "mail arrives without a label";
}

}  // namespace

Finding judge_enabled(const Patient& patient, std::string_view state) {
  const auto looked = std::string("systemctl is-enabled segmilter");
  // "alias", "static" and "generated" units are started by other units, "linked" units are not.
  if (state.starts_with("enabled") || state == "static" || state == "alias" ||
      state == "generated") {
    return ok("systemd starts segmilter at boot");
  }
  if (state == "disabled" || state == "linked" || state == "masked") {
    std::vector<std::string> mend;
    if (state == "masked") mend.emplace_back("systemctl unmask segmilter");
    mend.emplace_back("systemctl enable segmilter");
    return warn(
        looked,
        fmt::format("systemd does not start segmilter at boot (the unit is {}): after the next "
                    "boot {}",
                    state, cost(patient.config)),
        std::move(mend));
  }
  return skip(looked, fmt::format("systemd has no unit segmilter ({})",
                                  state.empty() ? "systemctl printed nothing" : state));
}

Findings check_boot(const Patient& patient) {
  if (!is_systemd_here() || !config::observes(patient.config)) return {};
  const auto result = run_command({"systemctl", "is-enabled", "segmilter"}, kLimit);
  // systemctl prints the state, but its exit status is 0 only for some states, such as "enabled".
  return {judge_enabled(patient, result.output.substr(0, result.output.find('\n')))};
}

}  // namespace doctor
