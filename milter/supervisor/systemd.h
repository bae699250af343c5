// What the supervisor reports to systemd (sd_notify(3)), and what systemd asks of it. If systemd
// did not start segmilter, the reports go nowhere and there is no watchdog.
#pragma once

#include <chrono>
#include <string>

namespace supervisor {

// Sends lines of sd_notify(3), such as "READY=1\nSTATUS=...". Errors are ignored: the mail does not
// depend on the report.
void notify(const std::string& state);

// Reports that a reload (or an upgrade) begins. notify("READY=1") reports its end.
void notify_reloading();

// How often systemd's watchdog has to be answered with notify("WATCHDOG=1"): half of WatchdogSec,
// as sd_watchdog_enabled(3) recommends. Zero: there is no watchdog.
std::chrono::microseconds watchdog_period();

}  // namespace supervisor
