// Linked into every program of the coverage build. gcc's counts are written when a process ends by
// exit(), and ours do not: children of the supervisor end by _exit, tests kill them. So _exit
// writes them too (-Wl,--wrap=_exit), and a thread of each process writes those of the moment every
// few seconds; what is lost is what a killed process did since then. Not more often: a process that
// is killed while it writes leaves half a file, and what comes later cannot be added to that.
#include <pthread.h>
#include <signal.h>
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
    sleep(4);
    dump();
  }
}

// A child has no thread but the one that forked. The thread takes no signal: they are the
// program's.
void start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, dump_for_ever, nullptr) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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

// In front of gcc's own destructor, which writes the counts at exit: from here on it is alone.
[[gnu::destructor(65535)]] void stop() {
  dumping.lock();
}

}  // namespace

extern "C" [[noreturn]] void __wrap__exit(int code) {
  dump();
  __real__exit(code);
}
