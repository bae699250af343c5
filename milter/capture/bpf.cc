#include "milter/capture/bpf.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

namespace capture {
namespace {

thread_local std::string last_warning;

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  last_warning = line;
  while (!last_warning.empty() && last_warning.back() == '\n') last_warning.pop_back();
  return 0;
}

}  // namespace

void hold_bpf_messages() {
  last_warning.clear();
  libbpf_set_print(keep_warning);
}

void bpf_failed(const char* what, int error) {
  std::string text = std::string(what) + ": " + std::strerror(error);
  if (error == EPERM) text += " (CAP_BPF and CAP_NET_ADMIN are needed)";
  // The verifier returns EACCES for a program that is valid but that this process may not load.
  if (error == EACCES) text += " (CAP_PERFMON is needed)";
  if (!last_warning.empty()) text += "; " + last_warning;
  throw std::runtime_error(text);
}

}  // namespace capture
