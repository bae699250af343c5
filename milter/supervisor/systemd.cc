#include "milter/supervisor/systemd.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include <cstdint>

namespace supervisor {

void notify(const std::string& state) {
  (void)sd_notify(0, state.c_str());
}

void notify_reloading() {
  // systemd compares this time with the time at which it asked for the reload.
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  notify(
      fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000));
}

std::chrono::microseconds watchdog_period() {
  std::uint64_t usec = 0;
  return std::chrono::microseconds(sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0);
}

}  // namespace supervisor
