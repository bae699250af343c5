#include "milter/supervisor/counts.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <type_traits>

namespace supervisor {

// A lock lives in the memory of one process and would not protect the others.
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

}  // namespace supervisor
