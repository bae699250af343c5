// This file includes headers of libraries only to read their versions.
#include "milter/cli/versions.h"

#include <bpf/libbpf.h>
#include <event2/event.h>
#include <fmt/format.h>
#include <libmilter/mfapi.h>
#include <spdlog/version.h>
#include <toml++/toml.h>

namespace cli {
namespace {

std::string libmilter_version() {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  smfi_version(&major, &minor, &patch);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

std::string three(int major, int minor, int patch) {
  return fmt::format("{}.{}.{}", major, minor, patch);
}

}  // namespace

std::string versions() {
  std::string text = "segmilter " SEGMILTER_VERSION "\n";
  const auto add = [&text](std::string_view name, std::string_view version) {
    text += fmt::format("  {:<10} {}\n", name, version);
  };
  // libmilter, libevent and libbpf report the version of the library that is loaded; the others are
  // known only from their headers.
  add("libmilter", libmilter_version());
  add("libevent", event_get_version());
  add("libbpf", std::string_view(libbpf_version_string()).substr(1));
  add("fmt", three(FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  add("spdlog", three(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH));
  add("toml++", three(TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH));
  return text;
}

}  // namespace cli
