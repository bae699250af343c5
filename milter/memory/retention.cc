#include "milter/memory/retention.h"

#include <dirent.h>
#include <sys/stat.h>

#include <memory>

#include "milter/net/fd.h"

namespace memory {
namespace {

constexpr std::uint64_t kBlock = 512;  // stat(2): st_blocks

struct CloseFolder {
  void operator()(DIR* folder) const { (void)closedir(folder); }
};

}  // namespace

Uses uses(const std::string& folder) {
  const std::unique_ptr<DIR, CloseFolder> open(opendir(folder.c_str()));
  net::check(open ? 0 : -1, "read the folder " + folder);
  Uses found;
  while (const dirent* entry = readdir(open.get())) {
    const auto day = day_in(entry->d_name);
    struct stat about {};
    if (!day || stat((folder + "/" + entry->d_name).c_str(), &about) != 0) continue;
    if (!S_ISREG(about.st_mode)) continue;  // a named pipe would be waited for
    auto& use = found[*day];
    use.bytes += static_cast<std::uint64_t>(about.st_blocks) * kBlock;
    use.files.emplace_back(entry->d_name);
  }
  return found;
}

Plan plan(const Uses& uses, std::uint64_t free, const Limits& limits, Day today) {
  std::uint64_t total = 0;
  for (const auto& [day, use] : uses) total += use.bytes;
  Plan plan;
  const auto fits = [&] { return total <= limits.max_bytes && free >= limits.min_free; };
  const auto remove = [&](Day day, const DayUse& use) {
    plan.remove.push_back(day);
    total -= use.bytes;
    free += use.bytes;
  };
  for (const auto& [day, use] : uses) {
    if (day + std::chrono::days(limits.max_days) <= today) remove(day, use);
  }
  for (const auto& [day, use] : uses) {
    if (is_ahead(day, today) && !fits()) remove(day, use);
  }
  for (const auto& [day, use] : uses) {
    if (day >= today || fits()) break;
    if (day + std::chrono::days(limits.max_days) > today) remove(day, use);
  }
  plan.full = !fits();
  return plan;
}

}  // namespace memory
