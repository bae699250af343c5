#include "milter/log/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include <cassert>
#include <ctime>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "text/ascii.h"
#include "text/printable.h"

namespace logging {
namespace {

using Json = nlohmann::ordered_json;

// What open() created. A line that is being written keeps the output with which it began, so a
// reload may replace it.
struct Output {
  config::Log settings;
  std::string process;
  std::shared_ptr<spdlog::logger> logger;
};

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::Error:
      return spdlog::level::err;
    case Level::Warning:
      return spdlog::level::warn;
    case Level::Info:
      return spdlog::level::info;
    case Level::Debug:
      return spdlog::level::debug;
  }
  return spdlog::level::info;
}

std::string_view level_name(Level level) {
  switch (level) {
    case Level::Error:
      return "error";
    case Level::Warning:
      return "warning";
    case Level::Info:
      return "info";
    case Level::Debug:
      return "debug";
  }
  return "info";
}

Level level_named(std::string_view name) {
  for (Level level : {Level::Error, Level::Warning, Level::Info, Level::Debug}) {
    if (level_name(level) == name) return level;
  }
  return Level::Info;
}

// Builds "segmilter/filter", in the way Postfix names its programs. Syslog daemons take the text
// before the slash as the program's name.
std::string identity(std::string_view process) {
  std::string name = "segmilter";
  if (!process.empty()) name.append("/").append(process);
  return name;
}

std::shared_ptr<spdlog::logger> make_logger(const config::Log& settings, std::string_view process) {
  const bool json = settings.format == config::Log::Format::Json;
  const bool to_syslog = settings.target == config::Log::Target::Syslog;
  const std::string name = identity(process);
  spdlog::sink_ptr sink;
  if (to_syslog) {
    sink = std::make_shared<spdlog::sinks::syslog_sink_mt>(name, LOG_PID, LOG_MAIL, false);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>(name, std::move(sink));
  const char* pattern = json || to_syslog ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %n[%P] %l: %v";
  logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  logger->set_level(spdlog_level(level_named(settings.level)));
  logger->flush_on(spdlog::level::trace);
  return logger;
}

std::mutex output_mutex;

// Never destroyed: libmilter's threads may still write while the process exits.
std::shared_ptr<const Output>& current_output() {
  static auto* output = new std::shared_ptr<const Output>(
      std::make_shared<Output>(Output{{}, "", make_logger({}, "")}));
  return *output;
}

std::shared_ptr<const Output> output() {
  std::lock_guard lock(output_mutex);
  return current_output();
}

bool is_plain(char c) {
  return text::is_visible(c) && c != '"' && c != '\\';
}

void append_escaped(std::string& line, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') line.push_back('\\');
    text::append_printable(line, c);
  }
}

// Quotes a value only if its end would be unclear without quotes.
void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (const char c : value) plain = plain && is_plain(c);
  if (plain) {
    line.append(value);
    return;
  }
  line.push_back('"');
  append_escaped(line, value);
  line.push_back('"');
}

// For example "2026-01-31T12:00:00.123Z".
std::string utc_now() {
  timeval now{};
  gettimeofday(&now, nullptr);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char date[32];
  const std::size_t length = std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", std::string_view(date, length), now.tv_usec / 1000);
}

Json json_line(const Output& to, Level level) {
  Json line;
  line["time"] = utc_now();
  line["level"] = level_name(level);
  line["process"] = to.process;
  line["pid"] = getpid();
  return line;
}

Json json_value(const Fact& fact) {
  if (fact.number) {
    Json number = Json::parse(fact.value, nullptr, false);
    if (number.is_number()) return number;
  }
  return fact.value;
}

// Escapes everything outside ASCII, so that a line is always ASCII. Bytes that are not UTF-8 become
// U+FFFD.
std::string dump(const Json& line) {
  return line.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string text_event(std::string_view queue_id, std::string_view text,
                       const std::vector<Fact>& facts) {
  std::string line;
  if (!queue_id.empty()) line.append(text::printable(queue_id)).append(": ");
  line.append(text::printable(text));
  for (const Fact& fact : facts) {
    line.append(" ").append(fact.key).append("=");
    append_value(line, fact.value);
  }
  return line;
}

std::string json_event(const Output& to, Level level, std::string_view queue_id,
                       std::string_view text, const std::vector<Fact>& facts) {
  Json line = json_line(to, level);
  line["event"] = std::string(text);
  if (!queue_id.empty()) line["queue_id"] = std::string(queue_id);
  for (const Fact& fact : facts) line[std::string(fact.key)] = json_value(fact);
  return dump(line);
}

void put(const Output& to, Level level, const std::string& line) {
  to.logger->log(spdlog_level(level), spdlog::string_view_t(line));
}

bool is_json(const Output& to) {
  return to.settings.format == config::Log::Format::Json;
}

}  // namespace

void open(const config::Log& settings, std::string_view process) {
  std::lock_guard lock(output_mutex);
  auto& current = current_output();
  // The old syslog sink must be destroyed first: its destructor calls closelog(), which would undo
  // the openlog() of the new sink. A line that is being written may keep the old sink alive; then
  // later lines lose the program name, but no line is lost.
  if (current->settings.target == config::Log::Target::Syslog) {
    current = std::make_shared<Output>(Output{{}, "", make_logger({}, process)});
  }
  current = std::make_shared<Output>(
      Output{settings, std::string(process), make_logger(settings, process)});
}

bool enabled(Level level) {
  return output()->logger->should_log(spdlog_level(level));
}

void write(Level level, std::string_view text) {
  const auto to = output();
  if (!to->logger->should_log(spdlog_level(level))) return;
  if (!is_json(*to)) {
    put(*to, level, text::printable(text));
    return;
  }
  Json line = json_line(*to, level);
  line["text"] = std::string(text);
  put(*to, level, dump(line));
}

void event(Level level, std::string_view queue_id, std::string_view text,
           const std::vector<Fact>& facts) {
  const auto to = output();
  if (!to->logger->should_log(spdlog_level(level))) return;
  put(*to, level,
      is_json(*to) ? json_event(*to, level, queue_id, text, facts)
                   : text_event(queue_id, text, facts));
}

}  // namespace logging
