#include "milter/desk/metrics.h"

#include <fmt/format.h>

namespace desk {
namespace {

// Label values are words of this program, so nothing in them has to be escaped.
void add(std::string& page, const process::Family& family) {
  const auto type = family.name.ends_with("_total") ? "counter" : "gauge";
  page += fmt::format("# HELP segmilter_{0} {1}\n# TYPE segmilter_{0} {2}\n", family.name,
                      family.help, type);
  for (const auto& sample : family.samples) {
    page += fmt::format("segmilter_{}", family.name);
    if (!family.label.empty()) page += fmt::format("{{{}=\"{}\"}}", family.label, sample.value);
    page += fmt::format(" {}\n", sample.count->load());
  }
}

}  // namespace

std::string metrics(const process::Families& families) {
  static const process::Count one{1};
  std::string page;
  add(page, {"build_info", "The version that runs.", "version", {{&one, SEGMILTER_VERSION}}});
  for (const auto& family : families) add(page, family);
  return page;
}

}  // namespace desk
