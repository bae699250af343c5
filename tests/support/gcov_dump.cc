// Linked into every program of the coverage build. gcc's counts are written when a process ends by
// exit(), and ours do not: children of the supervisor end by _exit, tests kill them. So _exit
// writes them too (-Wl,--wrap=_exit), and a thread of each process writes those of the moment every
// half second; what is lost is what a killed process did since then.
#include <pthread.h>
#include <unistd.h>

#include <mutex>

extern "C" void __gcov_dump();
extern "C" void __gcov_reset();
extern "C" [[noreturn]] void __real__exit(int code);

namespace {

std::mutex dumping;

void dump() {
  const std::lock_guard lock(dumping);
  __gcov_dump();
  __gcov_reset();
}

void* dump_for_ever(void*) {
  for (;;) {
    usleep(500'000);
    dump();
  }
}

// A child has no thread but the one that forked.
void start() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, dump_for_ever, nullptr) == 0) pthread_detach(thread);
}

[[maybe_unused]] const bool started = [] {
  pthread_atfork([] { dumping.lock(); }, [] { dumping.unlock(); },
                 [] {
                   dumping.unlock();
                   start();
                 });
  start();
  return true;
}();

}  // namespace

extern "C" [[noreturn]] void __wrap__exit(int code) {
  dump();
  __real__exit(code);
}
