#include "milter/supervisor/counts.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <type_traits>
#include <vector>

namespace supervisor {

// A lock of one process would mean nothing to the others.
static_assert(process::Count::is_always_lock_free);
static_assert(std::is_trivially_destructible_v<Counts>);

void Unmap::operator()(Counts* counts) const {
  (void)munmap(counts, sizeof *counts);
}

SharedCounts share_counts() {
  void* page =
      mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "memory for the counters");
  }
  return SharedCounts(new (page) Counts);
}

process::Families describe(const Counts& counts, const config::Config& config) {
  const bool proxy = !config.proxy.listen.empty();
  const bool wire = !config.wire.ports.empty();
  std::vector<NamedLife> lives;
  if (proxy) lives.push_back({"proxy", &counts.proxy_life});
  if (wire) lives.push_back({"wire", &counts.wire_life});
  lives.push_back({"filter", &counts.filter_life});
  lives.push_back({"desk", &counts.desk_life});
  auto families = describe(counts.supervisor, lives);
  if (proxy) append(families, describe(counts.proxy));
  if (wire) append(families, describe(counts.wire));
  append(families, describe(counts.filter));
  return families;
}

}  // namespace supervisor
